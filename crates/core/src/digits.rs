//! Numbers as digits, eight at a time: what nearly every byte of an event that is not a name comes from.

/// As many digits as are made at once.
const STEP: u64 = 100_000_000;

/// The digits of a number below 10^8, the first in the lowest byte, zeros before it too; each as its value.
#[inline]
const fn eight(number: u64) -> u64 {
    // Two halves of four digits side by side, then four of two, then eight of one; a division by a
    // constant is a multiplication that leaves the other parts alone.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// The same as text.
const ASCII: u64 = 0x3030_3030_3030_3030;

/// How many of eight digits come before a trailing zero.
#[inline]
fn without_trailing_zeros(digits: u64) -> usize {
    8 - bytes(digits.leading_zeros())
}

#[inline]
fn bytes(bits: u32) -> usize {
    usize::try_from(bits / 8).unwrap_or_default()
}

/// Appends the first `count` of eight digits. All eight are copied, which takes one instruction.
#[inline]
fn push(out: &mut Vec<u8>, digits: u64, count: usize) {
    let end = out.len() + count;
    out.extend_from_slice(&(digits | ASCII).to_le_bytes());
    out.truncate(end);
}

/// Appends a number below 10^8, without a zero before it.
#[inline]
fn push_first(out: &mut Vec<u8>, number: u64) {
    let digits = eight(number);
    let zeros = bytes(digits.trailing_zeros()).min(7);
    push(out, digits >> (8 * zeros), 8 - zeros);
}

/// Appends a number.
#[inline]
pub fn write_number(out: &mut Vec<u8>, number: u64) {
    let (rest, last) = (number / STEP, number % STEP);
    if rest == 0 {
        return push_first(out, last);
    }
    let (first, middle) = (rest / STEP, rest % STEP);
    if first == 0 {
        push_first(out, middle);
    } else {
        push_first(out, first);
        push(out, eight(middle), 8);
    }
    push(out, eight(last), 8);
}

/// Appends `mantissa * 10^-SCALE` in its shortest form with at least one digit after the point; `SCALE` is at
/// most 16.
pub(crate) fn write_decimal<const SCALE: u32>(out: &mut Vec<u8>, mantissa: i128) {
    if mantissa == 0 {
        return out.extend_from_slice(b"0.0");
    }
    if mantissa < 0 {
        out.push(b'-');
    }
    let (whole, fraction) = split::<SCALE>(mantissa.unsigned_abs());
    let fraction = fraction * const { 10_u64.pow(16 - SCALE) };
    match u64::try_from(whole) {
        Ok(whole) => write_with_fraction(out, whole, fraction),
        Err(_) => {
            out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
            write_fraction(out, fraction);
        }
    }
}

/// A number of units of `10^-SCALE` as its whole part and the rest.
#[inline]
fn split<const SCALE: u32>(units: u128) -> (u128, u64) {
    let unit = const { 10_u64.pow(SCALE) };
    // A division of 128 bits costs ten times as much as these two, each by a constant: 10^SCALE is 2^SCALE, a shift,
    // and 5^SCALE, which leaves so many bits of 64.
    let fives = const { 5_u64.pow(SCALE) };
    let bits = const { 5_u64.pow(SCALE).leading_zeros() };
    let shifted = units >> SCALE;
    let whole = match u64::try_from(shifted >> bits) {
        Ok(high) => {
            let low = low(shifted) & ((1 << bits) - 1);
            u128::from(high / fives) << bits | u128::from(((high % fives) << bits | low) / fives)
        }
        Err(_) => units / u128::from(unit),
    };
    // Below a unit: so all of it is in the lower half.
    (whole, low(units).wrapping_sub(low(whole).wrapping_mul(unit)))
}

/// The lower half of a number.
#[inline]
fn low(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default()
}

/// Appends a number with a point, and behind that 16 digits without the zeros at their end; one at least.
#[inline]
fn write_with_fraction(out: &mut Vec<u8>, whole: u64, fraction: u64) {
    const SHORT: u64 = 10_000_000;
    let (first, last) = (fraction / STEP, fraction % STEP);
    if whole >= SHORT || last != 0 {
        write_number(out, whole);
        return write_fraction(out, fraction);
    }
    // Seven digits, the point, and eight: all of it at once.
    let mut text = u128::from(ASCII) << 64 | u128::from(ASCII);
    let mut count = 1;
    if whole != 0 {
        let digits = eight(whole);
        let zeros = bytes(digits.trailing_zeros());
        count = 8 - zeros;
        text |= u128::from(digits >> (8 * zeros));
    }
    let digits = if first == 0 { 0 } else { eight(first) };
    text |= u128::from(digits) << (8 * (count + 1));
    text ^= u128::from(b'.' ^ b'0') << (8 * count);
    let end = out.len() + count + 1 + without_trailing_zeros(digits).max(1);
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(end);
}

/// Appends the point and what is behind it.
fn write_fraction(out: &mut Vec<u8>, fraction: u64) {
    let (first, last) = (eight(fraction / STEP), eight(fraction % STEP));
    out.push(b'.');
    if last == 0 {
        push(out, first, without_trailing_zeros(first).max(1));
    } else {
        push(out, first, 8);
        push(out, last, without_trailing_zeros(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_the_standard_library_does() {
        let mut random = fastrand::Rng::with_seed(1);
        let edges = (0..20).flat_map(|digits| {
            let power = 10_u64.pow(digits);
            [power - 1, power, power + 1, power.saturating_mul(9)]
        });
        let random = (0..200_000).map(|_| random.u64(..) >> random.u32(..64));
        for number in edges.chain(random).chain([u64::MAX]) {
            let mut out = b"x".to_vec();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}"));
        }
    }

    #[test]
    fn each_of_eight_digits_is_right() {
        for number in (0..STEP).step_by(997).chain(STEP - 10_000..STEP) {
            let mut out = Vec::new();
            push(&mut out, eight(number), 8);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number:08}"));
        }
    }

    fn check_split<const SCALE: u32>(units: u128) {
        let unit = 10_u128.pow(SCALE);
        let (whole, rest) = split::<SCALE>(units);
        assert_eq!(
            (whole, u128::from(rest)),
            (units / unit, units % unit),
            "{units} of 10^-{SCALE}"
        );
    }

    #[test]
    fn a_number_of_units_is_split_as_by_a_division() {
        let mut random = fastrand::Rng::with_seed(1);
        // Where either way of doing it ends, and each unit ends.
        let edges = (0..128).map(|bit| 1_u128 << bit);
        let edges = edges.chain((0..39).map(|digits| 10_u128.pow(digits)));
        let edges = edges.flat_map(|edge| [edge - 1, edge, edge + 1]).chain([u128::MAX]);
        let random = (0..200_000).map(|_| random.u128(..) >> random.u32(..128));
        for units in edges.chain(random) {
            check_split::<8>(units);
            check_split::<12>(units);
            check_split::<16>(units);
        }
    }

    #[test]
    fn a_fraction_ends_with_its_last_digit() {
        let mut random = fastrand::Rng::with_seed(1);
        let edges = [0, 1, 9_999_999, 10_000_000, STEP - 1, STEP, u64::MAX];
        for round in 0..300_000 {
            let unit = 10_u64.pow(random.u32(..17));
            let fraction = random.u64(..10_u64.pow(16)) / unit * unit;
            let random = random.u64(..) >> random.u32(..64);
            let whole = edges.get(round).copied().unwrap_or(random);
            let mut out = b"x".to_vec();
            write_with_fraction(&mut out, whole, fraction);
            let digits = format!("{fraction:016}");
            let digits = digits.trim_end_matches('0');
            let expected = format!("x{whole}.{}", if digits.is_empty() { "0" } else { digits });
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
