//! Health checks: probes (I/O) and what follows from them (pure).
