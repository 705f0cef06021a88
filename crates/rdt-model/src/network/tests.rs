//! The sizes of RDT's published networks: layouts only, no parameters are allocated.

use std::path::Path;

use rdt_schema::Config;

use super::{NetworkShape, Rdt};

fn base() -> Result<Config, Box<dyn std::error::Error>> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/base.yaml"));
    Ok(Config::from_file(path)?)
}

#[test]
fn the_1b_network_has_its_618_tensors() -> Result<(), Box<dyn std::error::Error>> {
    let (_, layout) = Rdt::new(NetworkShape::from_config(&base()?))?;
    assert_eq!(layout.parameters().len(), 618);
    assert_eq!(layout.elements(), 1_228_319_872);
    let trunk = layout.parameters().iter().filter(|parameter| parameter.name.starts_with("model."));
    assert_eq!(trunk.map(|parameter| parameter.elements()).sum::<i64>(), 1_200_256_128);
    let block = layout.parameters().iter().filter(|parameter| parameter.name.starts_with("model.blocks.7."));
    assert_eq!(block.map(|parameter| parameter.elements()).sum::<i64>(), 41_969_920);
    Ok(())
}

#[test]
fn the_170m_network_is_a_matter_of_configuration() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = base()?;
    config.model.rdt.hidden_size = 1024;
    config.model.rdt.depth = 14;
    let (_, layout) = Rdt::new(NetworkShape::from_config(&config))?;
    assert!((160_000_000..180_000_000).contains(&layout.elements()), "{}", layout.elements());
    Ok(())
}
