//! The agilex card against RDT's HDF5 loader on a recorded file.
