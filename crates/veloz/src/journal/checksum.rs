//! The checksums of many records at once.
//!
//! Contract: the same crc32c as that of the crate which does one at a time. A step of it waits for the one before,
//! and takes three times as long as the processor needs until it can begin another: so three records side by side
//! cost little more than one.

/// How many are done at once.
pub(super) const LANES: usize = 3;

/// The checksum of each.
pub(super) fn checksums(all: [&[u8]; LANES]) -> [u32; LANES] {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the one thing that it needs is the instruction, and that is there.
        #[expect(unsafe_code, reason = "the compiler cannot know that the processor was asked")]
        return unsafe { side_by_side(all) };
    }
    all.map(crc32c::crc32c)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn side_by_side([mut a, mut b, mut c]: [&[u8]; LANES]) -> [u32; LANES] {
    use std::arch::x86_64::_mm_crc32_u64;
    let start = u64::from(u32::MAX);
    let (mut sum_a, mut sum_b, mut sum_c) = (start, start, start);
    while let (Some((word_a, rest_a)), Some((word_b, rest_b)), Some((word_c, rest_c))) =
        (a.split_first_chunk(), b.split_first_chunk(), c.split_first_chunk())
    {
        sum_a = _mm_crc32_u64(sum_a, u64::from_le_bytes(*word_a));
        sum_b = _mm_crc32_u64(sum_b, u64::from_le_bytes(*word_b));
        sum_c = _mm_crc32_u64(sum_c, u64::from_le_bytes(*word_c));
        (a, b, c) = (rest_a, rest_b, rest_c);
    }
    [finish(sum_a, a), finish(sum_b, b), finish(sum_c, c)]
}

/// What comes after the words that all have.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn finish(mut sum: u64, rest: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let (words, bytes) = rest.as_chunks();
    for word in words {
        sum = _mm_crc32_u64(sum, u64::from_le_bytes(*word));
    }
    // The instruction leaves the upper half empty.
    let sum = u32::try_from(sum).unwrap_or_default();
    !bytes.iter().fold(sum, |sum, byte| _mm_crc32_u8(sum, *byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_each_has_alone() {
        let mut random = fastrand::Rng::with_seed(1);
        let bytes: Vec<u8> = (0..4_096).map(|_| random.u8(..)).collect();
        for _ in 0..2_000 {
            let all = [(); LANES].map(|()| {
                let start = random.usize(..64);
                let longest = *random.choice(&[9, 40, 300, 4_000]).unwrap();
                &bytes[start..start + random.usize(..longest)]
            });
            assert_eq!(checksums(all), all.map(crc32c::crc32c), "{:?}", all.map(<[u8]>::len));
        }
    }
}
