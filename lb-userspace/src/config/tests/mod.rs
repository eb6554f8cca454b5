//! Tests of the whole module: the corpus of good and bad files, nodes' files, the schema, the machine's addresses,
//! and that no text makes it panic.

mod corpus;
mod local;
mod mutations;
mod node;
mod schema;
pub(crate) mod world;
