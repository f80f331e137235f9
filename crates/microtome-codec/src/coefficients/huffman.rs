//! Huffman tables: as a DHT segment has them, made from symbol statistics as libjpeg makes them, and as
//! look-up tables for decoding.

use crate::Error;

/// Bits that the decoder's look-up table is indexed by.
pub(super) const LOOKUP_BITS: u32 = 11;

/// Symbols of all tables: 256 for each of [`super::header::Layout::tables`].
pub(super) const ALL_SYMBOLS: usize = 8 * 256;

/// How often each symbol of each table occurs.
pub(super) type Counts = [u32; ALL_SYMBOLS];

/// A table as a DHT segment has it: how many codes of each length, and the symbols in the order of their
/// codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Definition {
    bytes: [u8; 16 + 256],
    length: usize,
}

impl Definition {
    pub(super) const EMPTY: Self = Self { bytes: [0; 16 + 256], length: 16 };

    /// Takes the definition at the start of `bytes`, and checks that a decoder can build codes from it.
    pub(super) fn read(bytes: &[u8], offset: usize) -> Result<Self, Error> {
        let malformed = |what| Err(Error::Malformed { offset, what });
        let Some(counts) = bytes.get(..16) else { return malformed("a Huffman table is cut off") };
        let length = 16 + counts.iter().map(|&n| usize::from(n)).sum::<usize>();
        let mut definition = Self { length, ..Self::EMPTY };
        match (bytes.get(..length), definition.bytes.get_mut(..length)) {
            (Some(from), Some(to)) => to.copy_from_slice(from),
            _ => return malformed("a Huffman table is cut off or has more than 256 symbols"),
        }
        let mut code = 0_u32;
        for (bits, &count) in (1..).zip(&definition.bytes[..16]) {
            code += u32::from(count);
            // No code is all ones.
            if count > 0 && code >= 1 << bits {
                return malformed("a Huffman table with more codes than there are");
            }
            code <<= 1;
        }
        let mut seen = [false; 256];
        match definition
            .symbols()
            .iter()
            .any(|&symbol| std::mem::replace(&mut seen[usize::from(symbol)], true))
        {
            true => malformed("a Huffman table with a symbol twice"),
            false => Ok(definition),
        }
    }

    /// Counts and symbols.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether every symbol of a baseline stream has a code.
    pub(super) fn has_all_codes(&self, ac: bool) -> bool {
        let count = self.symbols().iter().filter(|&&symbol| is_baseline(symbol, ac)).count();
        count == (0..=255).filter(|&symbol| is_baseline(symbol, ac)).count()
    }

    fn symbols(&self) -> &[u8] {
        &self.bytes[16..self.length]
    }

    /// The codes in their order, as symbol, code and length.
    pub(super) fn codes(&self) -> impl Iterator<Item = (u8, u32, u32)> {
        let lengths =
            (1_u32..).zip(&self.bytes[..16]).flat_map(|(bits, &n)| std::iter::repeat_n(bits, usize::from(n)));
        let mut next = (0_u32, 0_u32);
        self.symbols().iter().zip(lengths).map(move |(&symbol, bits)| {
            let code = next.0 << (bits - next.1);
            next = (code + 1, bits);
            (symbol, code, bits)
        })
    }

    /// The table that libjpeg's `jpeg_gen_optimal_table` (jchuff.c) makes from these counts of symbols 0, 1,
    /// ..., at most 256 of them.
    ///
    /// Its ties go to the larger symbol, where a merged tree counts as the symbol of its rarer half; a
    /// pseudo-symbol 256 reserves the code of all ones; lengths beyond 16 are shortened as in T.81, K.2, with
    /// the symbols left in the order of their first lengths. Where libjpeg gives up (lengths beyond 32, some
    /// million blocks), this does not.
    pub(super) fn optimal(counts: impl Iterator<Item = u64>) -> Self {
        let mut symbols = [0_u8; 257];
        // Nodes by rising frequency, then falling position: the two queues of Huffman's algorithm.
        let mut leaves = [0_u64; 257];
        let mut count = 0;
        for (symbol, frequency) in counts.take(256).enumerate().filter(|&(_, frequency)| frequency > 0) {
            symbols[count] = symbol as u8;
            leaves[count] = key(frequency.min(1 << 44), count);
            count += 1;
        }
        leaves[count] = key(1, count);
        count += 1;
        leaves[..count].sort_unstable();
        let depths = depths(&leaves[..count]);

        let mut lengths = [0_usize; 258];
        for &depth in &depths[..count] {
            lengths[usize::from(depth)] += 1;
        }
        let mut starts = [0_usize; 258];
        for i in 1..258 {
            starts[i] = starts[i - 1] + if i > 1 { lengths[i - 1] } else { 0 };
        }
        limit(&mut lengths);
        let mut definition = Self { length: 16 + count - 1, ..Self::EMPTY };
        for (to, &from) in definition.bytes.iter_mut().zip(&lengths[1..=16]) {
            *to = from as u8;
        }
        for (&symbol, &depth) in symbols.iter().zip(&depths[..count - 1]) {
            let place = &mut starts[usize::from(depth)];
            definition.bytes[16 + (*place).min(255)] = symbol;
            *place += 1;
        }
        definition
    }
}

/// Whether baseline streams have this symbol.
pub(super) fn is_baseline(symbol: u8, ac: bool) -> bool {
    match (ac, symbol >> 4, symbol & 15) {
        (false, run, size) => run == 0 && size <= 11,
        (true, 0 | 15, 0) => true,
        (true, _, size) => (1..=10).contains(&size),
    }
}

/// Sorts by frequency, and by falling position among equals.
fn key(frequency: u64, position: usize) -> u64 {
    frequency << 9 | (511 - position as u64)
}

/// Depths in the Huffman tree, by position, of leaves with these sorted keys.
fn depths(leaves: &[u64]) -> [u16; 257] {
    let count = leaves.len();
    let mut merged = [0_u64; 257];
    let (mut leaf, mut head, mut tail) = (0, 0, 0);
    // The node that stands at a position, and each node's parent; merged nodes follow the leaves.
    let mut node: [u16; 257] = std::array::from_fn(|i| i as u16);
    let mut parent = [0_u16; 2 * 257];
    for new in count..2 * count - 1 {
        let mut smallest = || {
            let (a, b) = (leaves.get(leaf), merged[..tail].get(head));
            match (a, b) {
                (Some(&a), Some(&b)) if b < a => (head += 1, b).1,
                (Some(&a), _) => (leaf += 1, a).1,
                (None, Some(&b)) => (head += 1, b).1,
                (None, None) => 0,
            }
        };
        let (first, second) = (smallest(), smallest());
        let [a, b] = [first, second].map(|key| 511 - (key & 511) as usize);
        parent[usize::from(node[a.min(256)])] = new as u16;
        parent[usize::from(node[b.min(256)])] = new as u16;
        node[a.min(256)] = new as u16;
        let sum = key((first >> 9) + (second >> 9), a);
        let mut at = tail;
        while at > head && merged[at - 1] > sum {
            merged[at] = merged[at - 1];
            at -= 1;
        }
        merged[at] = sum;
        tail += 1;
    }
    let mut depth = [0_u16; 2 * 257];
    for i in (0..2 * count - 2).rev() {
        depth[i] = depth[usize::from(parent[i])] + 1;
    }
    std::array::from_fn(|i| depth[i])
}

/// Brings codes longer than 16 bits down to 16 and takes out the pseudo-symbol's.
fn limit(lengths: &mut [usize; 258]) {
    for i in (17..258).rev() {
        while lengths[i] > 0 {
            let Some(j) = (1..i - 1).rev().find(|&j| lengths[j] > 0) else { break };
            lengths[i] = lengths[i].saturating_sub(2);
            lengths[i - 1] += 1;
            lengths[j + 1] += 2;
            lengths[j] -= 1;
        }
    }
    if let Some(last) = (1..=16).rev().find(|&i| lengths[i] > 0) {
        lengths[last] -= 1;
    }
}

/// What the decoder knows of a code: `symbol << 24 | run << 16 | code bits << 8 | code and value bits`. A run
/// beyond 63 is one of the following, so that one comparison finds the end of a block and all special cases.
pub(super) type Entry = u32;

/// The run of the end of a block.
pub(super) const END: u32 = 64;
/// The run of symbols that baseline streams do not have, and of bits that are no code.
const BAD: u32 = 96;
/// The run of codes longer than [`LOOKUP_BITS`].
pub(super) const LONG: u32 = 127;

/// Codes as a table indexed by the next bits of the stream.
pub(super) struct Decoder {
    definition: Definition,
    ac: bool,
    pub(super) lookup: Box<[Entry; 1 << LOOKUP_BITS]>,
    /// For each code length, the first 16 bits that are beyond its codes, and what to add to a code for its
    /// index.
    limits: [(u32, u32); 17],
}

impl Decoder {
    pub(super) fn new(ac: bool) -> Self {
        let lookup = Box::new([LONG << 16; 1 << LOOKUP_BITS]);
        Self { definition: Definition::EMPTY, ac, lookup, limits: [(0, 0); 17] }
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Takes the table at the start of `bytes`; `offset` is for the error. Does nothing if it is the one from
    /// before.
    pub(super) fn set(&mut self, bytes: &[u8], offset: usize) -> Result<(), Error> {
        if self.definition.length > 16 && bytes.starts_with(self.definition.bytes()) {
            return Ok(());
        }
        self.definition = Definition::EMPTY;
        let definition = Definition::read(bytes, offset)?;
        let mut end = 0;
        let mut index = 0_u32;
        self.limits = [(0, 0); 17];
        let mut first = 0_u32;
        for (length, &count) in (1_usize..).zip(&definition.bytes[..16]) {
            let after = first + u32::from(count);
            self.limits[length] = (after << (16 - length), index.wrapping_sub(first));
            index += u32::from(count);
            first = after << 1;
        }
        for (symbol, code, bits) in definition.codes().take_while(|&(_, _, bits)| bits <= LOOKUP_BITS) {
            let shift = LOOKUP_BITS - bits;
            let (from, to) = ((code << shift) as usize, ((code + 1) << shift) as usize);
            self.lookup[from..to].fill(entry(symbol, bits, self.ac));
            end = to;
        }
        self.lookup[end..].fill(LONG << 16);
        self.definition = definition;
        Ok(())
    }

    /// The entry of a code that the look-up table does not have, from the next bits of the stream,
    /// left-aligned.
    #[cold]
    pub(super) fn long(&self, bits: u64) -> Entry {
        let next = (bits >> 48) as u32;
        for (length, &(limit, offset)) in (1_u32..).zip(&self.limits[1..]) {
            if next < limit {
                let index = (next >> (16 - length)).wrapping_add(offset) as usize;
                return self
                    .definition
                    .symbols()
                    .get(index)
                    .map_or(BAD << 16, |&s| entry(s, length, self.ac));
            }
        }
        BAD << 16
    }
}

fn entry(symbol: u8, bits: u32, ac: bool) -> Entry {
    let size = u32::from(symbol & 15);
    let (run, size) = match (ac, symbol >> 4, size) {
        (false, 0, 0..=11) => (0, size),
        (true, 0, 0) => (END, 0),
        (true, 15, 0) => (15, 0),
        (true, run, 1..=10) => (u32::from(run), size),
        _ => (BAD, 0),
    };
    u32::from(symbol) << 24 | run << 16 | bits << 8 | (bits + size)
}

/// The tables of T.81, K.3, as a DHT segment has them: DC and AC for luma, DC and AC for chroma.
pub(super) const STANDARD: [&[u8]; 4] = [
    &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    b"\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7d\
      \x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xa1\x08\
      \x23\x42\xb1\xc1\x15\x52\xd1\xf0\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28\
      \x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\x59\
      \x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89\
      \x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\
      \xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2\
      \xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa",
    &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    b"\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77\
      \x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\x42\x91\
      \xa1\xb1\xc1\x09\x23\x33\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26\
      \x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\
      \x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87\
      \x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\
      \xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\
      \xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa",
];
