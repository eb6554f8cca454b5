//! The datapath tier: the same frames as the host tier's, and the same histories as the model tier's, through
//! the program as the kernel runs it.

mod admission;
mod bench;
mod budgets;
mod clamp;
mod egress;
mod evidence;
mod frames;
mod histories;
mod objects;
mod packet_log;
mod probe;
mod program;
mod receiver;
mod twin;
