//! A plain writer of the format, so that the data does not come from a codec that is measured.

/// Appends terms as OTP 26 and newer writes them.
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn versioned() -> Self {
        Self { bytes: vec![131] }
    }

    pub(crate) fn integer(&mut self, value: i64) {
        match (u8::try_from(value), i32::try_from(value)) {
            (Ok(byte), _) => self.bytes.extend([97, byte]),
            (_, Ok(value)) => self.tagged(98, &value.to_be_bytes()),
            _ => {
                let magnitude = value.unsigned_abs().to_le_bytes();
                let zeros = magnitude
                    .iter()
                    .rev()
                    .take_while(|byte| **byte == 0)
                    .count();
                self.big(value < 0, &magnitude[..8 - zeros]);
            }
        }
    }

    pub(crate) fn integers<const N: usize>(&mut self, values: [usize; N]) {
        values.iter().for_each(|value| self.integer(*value as i64));
    }

    pub(crate) fn big(&mut self, negative: bool, magnitude: &[u8]) {
        self.tagged(110, &[magnitude.len() as u8, u8::from(negative)]);
        self.bytes.extend(magnitude);
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.tagged(70, &value.to_be_bytes());
    }

    pub(crate) fn atom(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref().as_bytes();
        self.tagged(119, &[text.len() as u8]);
        self.bytes.extend(text);
    }

    pub(crate) fn binary(&mut self, bytes: &[u8]) {
        self.counted(109, bytes.len());
        self.bytes.extend(bytes);
    }

    /// A binary of letters.
    pub(crate) fn text(&mut self, random: &mut Random, shortest: usize, longest: usize) {
        let text = random.word(shortest, longest);
        self.binary(text.as_bytes());
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.tagged(107, &(text.len() as u16).to_be_bytes());
        self.bytes.extend(text.as_bytes());
    }

    pub(crate) fn nil(&mut self) {
        self.bytes.push(106);
    }

    pub(crate) fn list(&mut self, length: usize) {
        self.counted(108, length);
    }

    pub(crate) fn tuple(&mut self, arity: u8) {
        self.tagged(104, &[arity]);
    }

    pub(crate) fn map(&mut self, pairs: usize) {
        self.counted(116, pairs);
    }

    pub(crate) fn pid(&mut self, node: &str, random: &mut Random) {
        self.bytes.push(88);
        self.atom(node);
        self.words(&[random.below(30_000) as u32, 0, 7]);
    }

    pub(crate) fn reference(&mut self, node: &str, random: &mut Random) {
        self.tagged(90, &[0, 3]);
        self.atom(node);
        self.words(&[
            7,
            random.next() as u32 >> 14,
            random.next() as u32,
            random.next() as u32,
        ]);
    }

    fn words(&mut self, words: &[u32]) {
        words
            .iter()
            .for_each(|word| self.bytes.extend(word.to_be_bytes()));
    }

    fn counted(&mut self, tag: u8, count: usize) {
        self.tagged(tag, &(count as u32).to_be_bytes());
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend(bytes);
    }
}

/// SplitMix64 from a seed that only a name chooses.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub(crate) fn seeded(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(1, |seed, byte| seed * 31 + u64::from(byte)),
        )
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Lower-case letters.
    pub(crate) fn word(&mut self, shortest: usize, longest: usize) -> String {
        let length = shortest + self.below(longest - shortest + 1);
        (0..length)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }
}
