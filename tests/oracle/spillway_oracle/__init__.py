"""An independent second implementation of Spillway's forwarding contract.

It shares no code with the Rust crates. Where the two disagree, one of them is wrong, and
the vectors in `tests/fixtures/vectors` say which bytes are meant. Standard library only.
"""
