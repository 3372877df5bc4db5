//! Numbers as JavaScript reads them, which is how 1.x read tags and enum values.

/// `Number(text)` of JavaScript, for the words a schema can hold.
pub(crate) fn js_number(text: &str) -> f64 {
    let radix = |digits: &str, radix: u32| {
        let mut value = 0_f64;
        for digit in digits.chars() {
            let Some(digit) = digit.to_digit(radix) else { return f64::NAN };
            value = value * f64::from(radix) + f64::from(digit);
        }
        if digits.is_empty() {
            f64::NAN
        } else {
            value
        }
    };
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    match (lower.as_deref(), text.get(2..)) {
        (Some("0x"), Some(digits)) => return radix(digits, 16),
        (Some("0o"), Some(digits)) => return radix(digits, 8),
        (Some("0b"), Some(digits)) => return radix(digits, 2),
        _ => {}
    }
    match text {
        "" => 0.0,
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust also reads `inf`, `nan` and `infinity`, which JavaScript does not.
        _ if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_javascript_reads_them() {
        for (text, value) in [("010", 10.0), ("0x10", 16.0), ("-5", -5.0), ("1e3", 1000.0), ("+7", 7.0), ("0b11", 3.0)]
        {
            assert_eq!(js_number(text), value, "{text}");
        }
        for text in ["abc", "1.5f", "inf", "nan", "0x", "-0x5", "--1"] {
            assert!(js_number(text).is_nan(), "{text}");
        }
        assert_eq!(js_number("Infinity"), f64::INFINITY);
    }
}
