//! Weights in and out: the files that RDT, Hugging Face and PyTorch write.

pub mod export;
pub mod pretrained;
pub mod rdt_config;
pub mod tensor_file;
