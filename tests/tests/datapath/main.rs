//! The datapath tier: the same frames as the host tier's, through the program as the kernel runs it.

mod frames;
mod objects;
mod packet_log;
mod program;
