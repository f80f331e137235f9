//! OME-TIFF: which pages are the slide, and how its channels are shown.

use microtome_codec::Rgb;

use super::deep::grey_page;
use super::writer::{LAYOUTS, Scheme, TestPage, Value, picture, rgb_page, write};
use super::{open_bytes, pixels, refusal, tiles, whole};

fn xml(pixels: &str, inner: &str, more: &str) -> &'static str {
    let text = format!(
        "<?xml version=\"1.0\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\" UUID=\"urn:uuid:1\">\
         <Instrument ID=\"Instrument:0\"><Objective ID=\"Objective:0\" NominalMagnification=\"40.0\"/></Instrument>\
         <Image ID=\"Image:0\" Name=\"slide\"><ObjectiveSettings ID=\"Objective:0\"/>\
         <Pixels ID=\"Pixels:0\" {pixels}>{inner}</Pixels></Image>{more}</OME>\n"
    );
    // The test writer's texts live for ever.
    text.leak()
}

fn described(mut page: TestPage, text: &'static str) -> TestPage {
    page.fields.insert(270, Value::Text(text));
    page
}

fn grey(value: impl Fn(u32, u32) -> u16) -> TestPage {
    grey_page((200, 150), 64, 8, value, |row| row.iter().map(|&v| v as u8).collect())
}

fn property<'a>(source: &'a crate::source::Source, key: &str) -> Option<&'a str> {
    source.properties.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
}

#[test]
fn an_rgb_pyramid_in_sub_ifds_is_kept_with_its_metadata_and_its_label() {
    let mut slide = rgb_page(&picture(700, 500), (128, 128), true, Scheme::Jpeg, false);
    let text = xml(
        "SizeX=\"700\" SizeY=\"500\" SizeC=\"3\" SizeZ=\"1\" SizeT=\"1\" DimensionOrder=\"XYCZT\" \
         PhysicalSizeX=\"250\" PhysicalSizeXUnit=\"nm\" PhysicalSizeY=\"0.5\"",
        "<Channel ID=\"Channel:0:0\" SamplesPerPixel=\"3\"/><TiffData IFD=\"0\" PlaneCount=\"1\"/>",
        "<Image ID=\"Image:1\" Name=\"label image\"><Pixels SizeC=\"3\"><TiffData IFD=\"1\"/></Pixels></Image>\
         <Image ID=\"Image:2\" Name=\"scene 2\"><Pixels SizeC=\"3\"><TiffData IFD=\"2\"/></Pixels></Image>",
    );
    slide.children = vec![rgb_page(&picture(350, 250), (128, 128), true, Scheme::Jpeg, false)];
    let label = rgb_page(&picture(40, 30), (40, 30), false, Scheme::Jpeg, false);
    let pages =
        [described(slide, text), label, rgb_page(&picture(90, 90), (16, 16), true, Scheme::None, false)];
    let source = open_bytes(&write(LAYOUTS[2], &pages)).expect("opens");
    assert_eq!((source.format, tiles(&source).levels().len()), ("ome-tiff", 2));
    assert_eq!((source.mpp, source.objective_power), (Some([0.25, 0.5]), Some(40.0)));
    assert_eq!(property(&source, "openslide.mpp-x"), Some("0.25"));
    assert_eq!(property(&source, "tiff.ImageDescription"), Some(text));
    let found: Vec<_> = source.associated.iter().map(|a| (&*a.name, a.media_type, a.width)).collect();
    assert_eq!(found, [("label", "image/jpeg", 40)]);
    assert_eq!(source.notices, ["another image of the file, scene 2, is left out"]);
}

#[test]
fn channels_are_light_in_their_colours_and_the_first_plane_is_taken() {
    // Two focal planes of three channels, focal planes first; the last channel saturates with the first.
    let planes: [fn(u32, u32) -> u16; 3] = [|x, _| x as u16, |_, y| y as u16, |_, _| 200];
    let channel = |name: &str, colour: i32| format!("<Channel Name=\"{name}\" Color=\"{colour}\"/>");
    let (red, green, orange) = (0xFF00_00FF_u32 as i32, 0x00FF_00FF, 0xFF80_00FF_u32 as i32);
    let inner = [channel("A", red), channel("B", green), channel("C", orange), "<TiffData/>".into()].concat();
    let size = "SizeX=\"200\" SizeY=\"150\" SizeC=\"3\" SizeZ=\"2\" SizeT=\"1\" DimensionOrder=\"XYZCT\"";
    let text = xml(size, &inner, "");
    let mut pages: Vec<TestPage> = planes.iter().flat_map(|plane| [grey(plane), grey(|_, _| 255)]).collect();
    pages[0] = described(pages[0].clone(), text);
    let source = open_bytes(&write(LAYOUTS[0], &pages)).expect("opens");
    let mut expected = Rgb::filled(200, 150, [0; 3]);
    for (i, pixel) in expected.data_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (i as u32 % 200, i as u32 / 200);
        pixel.copy_from_slice(&[(x + 200).min(255) as u8, (y + 100).min(255) as u8, 0]);
    }
    assert_eq!(pixels(&source).read(whole(&source)).expect("reads"), expected);
    assert_eq!(
        source.notices,
        [
            "3 channels are shown together as coloured light, added up",
            "of 2 focal planes and 1 time points the first is taken"
        ]
    );
    assert_eq!(property(&source, "microtome.channel.2.colour"), Some("#FF8000"));
    assert_eq!(property(&source, "microtome.channel.1.name"), Some("B"));

    let without = inner.replace("Color", "Colour");
    pages[0] = described(pages[0].clone(), xml(size, &without, ""));
    let source = open_bytes(&write(LAYOUTS[0], &pages)).expect("opens");
    let read = pixels(&source).read(whole(&source)).expect("reads");
    assert_eq!(read.pixel(150, 90), [150, 90, 200], "red, green and blue where none has a colour");
}

#[test]
fn a_channel_in_jpeg_and_channels_in_one_page_are_shown_too() {
    let samples = rgb_page(&picture(200, 150), (64, 64), true, Scheme::None, false);
    let mut interleaved = samples.clone();
    interleaved.fields.insert(262, Value::Short(vec![1]));
    let size = "SizeX=\"200\" SizeY=\"150\" SizeC=\"3\" SizeZ=\"1\" SizeT=\"1\" DimensionOrder=\"XYCZT\"";
    let text = xml(size, "<Channel SamplesPerPixel=\"3\"/><TiffData IFD=\"0\"/>", "");
    let source = open_bytes(&write(LAYOUTS[0], &[described(interleaved.clone(), text)])).expect("opens");
    assert_eq!(pixels(&source).read(whole(&source)).expect("reads"), picture(200, 150));
    let said = ["3 channels are shown together as coloured light, added up"];
    assert_eq!(source.notices, said);
    // A channel per sample, blue first; and writers that count the colours of an RGB page as channels.
    let blue_first = "<Channel Color=\"65535\"/><Channel Color=\"16711935\"/><Channel Color=\"-16776961\"/>";
    let text = xml(size, &format!("{blue_first}<TiffData IFD=\"0\"/>"), "");
    let source = open_bytes(&write(LAYOUTS[0], &[described(interleaved, text)])).expect("opens");
    let [red, green, blue] = picture(200, 150).pixel(50, 60);
    assert_eq!(pixels(&source).read(whole(&source)).expect("reads").pixel(50, 60), [blue, green, red]);
    assert_eq!(property(&source, "microtome.channel.0.colour"), Some("#0000FF"));
    let source = open_bytes(&write(LAYOUTS[0], &[described(samples, text)])).expect("opens");
    assert_eq!(pixels(&source).read(whole(&source)).expect("reads"), picture(200, 150));
    assert!(source.notices.is_empty() && property(&source, "microtome.channel.0.colour").is_none());

    let deep = grey_page(
        (200, 150),
        64,
        16,
        |x, _| (100 + x.min(199)) as u16,
        |row| row.iter().flat_map(|v| v.to_le_bytes()).collect(),
    );
    let text = xml(size, "<Channel Color=\"16711935\"/><TiffData IFD=\"0\"/>", "");
    let source = open_bytes(&write(LAYOUTS[0], &[described(deep, text)])).expect("opens");
    assert_eq!(property(&source, "microtome.window.0"), Some("100..299"));
    let read = pixels(&source).read(whole(&source)).expect("reads");
    assert_eq!([read.pixel(0, 0), read.pixel(199, 3)], [[0; 3], [255; 3]], "one channel is grey");
}

#[test]
fn what_the_xml_says_must_be_there() {
    let size = "SizeX=\"200\" SizeY=\"150\" SizeC=\"2\" SizeZ=\"1\" SizeT=\"1\" DimensionOrder=\"XYCZT\"";
    let two = "<Channel/><Channel/>";
    let cases = [
        ("<TiffData IFD=\"0\"/><TiffData FirstC=\"1\" IFD=\"7\"/>", "a channel page 7, which is not there"),
        ("<TiffData IFD=\"0\"/><TiffData FirstC=\"1\" IFD=\"0\"/>", "a channel page 0, which is not there"),
        ("<TiffData IFD=\"0\"/>", "no plane for channel 1"),
        (
            "<TiffData IFD=\"0\"/><TiffData FirstC=\"1\" IFD=\"0\"><UUID FileName=\"b.tif\">urn:uuid:2</UUID></TiffData>",
            "channel 1 lies in another file (b.tif)",
        ),
        ("<TiffData IFD=\"99999999999999999999\" PlaneCount=\"-1\"/>", "page 1, which is not there"),
        ("<TiffData", "its OME-XML"),
    ];
    for (data, part) in cases {
        let page = described(grey(|x, _| x as u16), xml(size, &format!("{two}{data}"), ""));
        let error = refusal(&write(LAYOUTS[0], &[page])).to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    let other = described(grey(|x, _| x as u16), xml(size, &format!("{two}<TiffData/>"), ""));
    let colour = rgb_page(&picture(200, 150), (64, 64), true, Scheme::None, false);
    let error = refusal(&write(LAYOUTS[0], &[other, colour])).to_string();
    assert!(error.contains("page 1: one of several channels that is not grey"), "{error}");
    let deep = format!("<OME>{}</OME>", "<a>".repeat(300_000)).leak();
    let page = described(grey(|x, _| x as u16), deep);
    assert!(refusal(&write(LAYOUTS[0], &[page])).to_string().contains("its OME-XML"));
    for text in ["<OME/>OME>", "<OME xmlns=\"x\"><Image/></OME>", "about OME"] {
        let page = described(grey(|x, _| x as u16), text);
        let result = open_bytes(&write(LAYOUTS[0], &[page]));
        assert_eq!(result.is_ok(), !text.starts_with("<OME/>"), "{text}");
    }
}
