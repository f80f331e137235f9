use super::*;

/// With 11 levels and two sections, of the shortest length.
fn header() -> Header {
    header_of(shortest_length(11, 2))
}

fn header_of(header_length: u32) -> Header {
    let behind = u64::from(header_length);
    let section =
        |kind, offset, length| Section { kind, critical: true, codec: 0, offset, length, hash: [3; 32] };
    Header {
        header_length,
        slide_id: SlideId([1; 16]),
        content_id: ContentId([0; 32]),
        file_length: behind + 716,
        tile_size: 256,
        overlap: 0,
        levels: (0..11_u8)
            .map(|k| Level {
                // Levels 2 and 3 are rounded down, the others up.
                width: if (2..4).contains(&k) { 1001 >> k } else { level_length(1001, k) },
                height: level_length(700, k),
                stored: k % 2 == 0,
            })
            .collect(),
        sections: vec![
            section(SectionKind::INDEX, behind, 616),
            section(SectionKind::TILES, behind + 624, 92),
        ],
    }
}

/// The shortest, one with some room, and the longest.
const LENGTHS: [u32; 3] = [448, 512, MAX_HEADER_LENGTH as u32];

#[test]
fn a_header_of_any_length_survives_the_round_trip() {
    for length in LENGTHS {
        let mut header = header_of(length);
        let mut file = header.seal();
        assert_eq!(file.len(), length as usize);
        file.resize(MAX_HEADER_LENGTH, 7);
        assert_eq!(Header::parse(&file), Ok(header));
    }
}

#[test]
fn the_shortest_header_ends_16_bytes_behind_its_tables() {
    assert_eq!(header().header_length, LENGTHS[0]);
    let longest = shortest_length(MAX_LEVELS, MAX_SECTIONS);
    assert_eq!(longest as usize, 128 + 33 * 16 + 64 * 64 + 16);
    assert!(longest as usize <= MAX_HEADER_LENGTH);
}

#[test]
fn every_flipped_bit_is_noticed() {
    for length in LENGTHS {
        let mut file = header_of(length).seal();
        file.resize(MAX_HEADER_LENGTH, 0);
        for at in 0..length as usize {
            for bit in 0..8 {
                file[at] ^= 1 << bit;
                assert!(Header::parse(&file).is_err(), "{length} bytes: byte {at} bit {bit}");
                file[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn lengths_that_no_header_has_are_refused() {
    let refused = |length: u32, word: &str| {
        let mut file = header().seal();
        file[12..16].copy_from_slice(&length.to_le_bytes());
        file.resize(2 * MAX_HEADER_LENGTH, 0);
        if let Some(block) = file.get_mut(..length as usize).filter(|block| block.len() > CONTENT_ID.end) {
            seal_block(block);
        }
        let refusal = Header::parse(&file);
        assert!(
            matches!(&refusal, Err(Refusal::Damaged(what)) if what.contains(word)),
            "{length}: {refusal:?}"
        );
    };
    for length in [0, 16, 208, 440, 449, 456, MAX_HEADER_LENGTH as u32 + 16, u32::MAX - 15, u32::MAX] {
        refused(length, "is not in the file");
    }
    for length in [224, 432] {
        refused(length, "than its length has room for");
    }
    // Room for all, and the sections lie elsewhere.
    refused(464, "does not follow");
}

#[test]
fn a_header_that_is_cut_off_is_refused() {
    let block = header().seal();
    for length in 0..block.len() {
        assert!(matches!(Header::parse(&block[..length]), Err(Refusal::Damaged(_))), "{length} bytes");
    }
}

#[test]
fn lies_with_a_right_checksum_are_refused() {
    type Lie = fn(&mut Header);
    let lies: [(&str, Lie); 14] = [
        ("tile size 0", |h| h.tile_size = 0),
        ("overlap 129", |h| h.overlap = 129),
        ("level 0 is not stored", |h| h.levels.clear()),
        ("level 0 is not stored", |h| h.levels[0].stored = false),
        ("0 x 700 px", |h| h.levels[0].width = 0),
        ("10 levels where", |h| h.levels.truncate(10)),
        ("level 1 of 300 x", |h| h.levels[1].width = 300),
        ("levels 1 and 2", |h| h.levels[2].stored = false),
        ("derived level 1 is not half", |h| h.levels[1].width = 500),
        ("TILE does not follow", |h| h.sections[1].length = u64::MAX),
        ("TILE does not follow", |h| h.sections[1].offset += 16),
        ("TILE does not follow", |h| {
            h.file_length = u64::MAX;
            h.sections[0].length = u64::MAX - 1 - h.sections[0].offset;
        }),
        ("the file should be", |h| h.file_length += 1),
        ("no section INDX", |h| h.sections[0].kind = SectionKind::TILES),
    ];
    for (word, lie) in lies {
        let mut header = header();
        lie(&mut header);
        let refusal = Header::parse(&header.seal());
        assert!(
            matches!(&refusal, Err(Refusal::Damaged(what)) if what.contains(word)),
            "{word}: {refusal:?}"
        );
    }
}

#[test]
fn sections_of_which_there_is_one_are_not_taken_twice() {
    for (kind, codec, taken) in [
        (SectionKind::METADATA, 0, false),
        (SectionKind::METADATA, 7, false),
        (SectionKind::CODEC_PARAMETERS, 0, false),
        (SectionKind::CODEC_PARAMETERS, 7, true),
        (SectionKind::ASSOCIATED, 0, true),
    ] {
        let mut header = header_of(1024);
        let section =
            |codec, offset| Section { kind, critical: false, codec, offset, length: 16, hash: [0; 32] };
        let end = header.file_length.next_multiple_of(ALIGNMENT);
        header.sections.extend([section(0, end), section(codec, end + 16)]);
        header.file_length = end + 32;
        assert_eq!(Header::parse(&header.seal()).is_ok(), taken, "{kind} {codec}");
    }
}

#[test]
fn unknown_critical_sections_are_refused_and_ancillary_ones_skipped() {
    let mut header = header();
    header.sections[1].kind = SectionKind(*b"WHAT");
    assert!(matches!(Header::parse(&header.seal()), Err(Refusal::Unsupported(_))));
    header.sections[1].critical = false;
    assert!(Header::parse(&header.seal()).is_ok());
}
