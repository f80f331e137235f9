//! Any text as a Deep Zoom descriptor: what is taken is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use microtome_slide::deepzoom::Descriptor;

fuzz_target!(|text: &str| {
    let Ok(descriptor) = Descriptor::parse(text) else { return };
    for level in 0..=u8::MAX {
        let number = descriptor.number_of(level);
        assert!(number == 0 || descriptor.level_of(number) == Some(level));
    }
    if ["jpg", "jpeg", "png"].contains(&descriptor.format.as_str()) {
        assert_eq!(Descriptor::parse(&descriptor.to_xml()), Ok(descriptor));
    }
});
