//! The authors of a book in one field: split where a sign can only stand between names.

/// The names in a field.
///
/// A semicolon, slash, bar, ampersand or 、 stands between names. A comma does so only where no comma can belong to an
/// inverted name: where every part is written in Chinese, Japanese or Korean, which inverts nothing; or where the parts are
/// an odd number from three on and each has several words, so that they are no pairs of surname and given name.
pub(crate) fn split(text: &str) -> Vec<String> {
    let parts = |separators: &[char]| -> Vec<String> {
        let parts = text.split(separators).map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "));
        parts.filter(|name| !name.is_empty()).collect()
    };
    let between = parts(&[';', '；', '/', '／', '、', '|', '｜', '&', '＆']);
    if between.len() > 1 || !text.contains([',', '，']) {
        return between;
    }
    let at_commas = parts(&[',', '，']);
    let east_asian =
        at_commas.iter().all(|name| name.chars().all(|character| !character.is_alphabetic() || is_cjk(character)));
    let whole_names =
        at_commas.len() % 2 == 1 && at_commas.len() > 1 && at_commas.iter().all(|name| name.contains(' '));
    if east_asian || whole_names { at_commas } else { between }
}

fn is_cjk(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_are_split_where_no_doubt_is_possible() {
        for (text, names) in [
            ("Ann Example", &["Ann Example"][..]),
            ("Ann Example; Bo Example", &["Ann Example", "Bo Example"]),
            ("Example, Ann; Example, Bo", &["Example, Ann", "Example, Bo"]),
            ("Ann Example & Bo Example", &["Ann Example", "Bo Example"]),
            ("余华/莫言", &["余华", "莫言"]),
            ("余华、莫言；苏童", &["余华", "莫言", "苏童"]),
            ("余华,莫言", &["余华", "莫言"]),
            ("[美] 黄仁宇，秦晖", &["[美] 黄仁宇", "秦晖"]),
            ("A B|C D", &["A B", "C D"]),
            ("Ann Example, Bo Example, Cy Example", &["Ann Example", "Bo Example", "Cy Example"]),
            ("Tolkien, J.R.R.", &["Tolkien, J.R.R."]),
            ("García Márquez, Gabriel José", &["García Márquez, Gabriel José"]),
            (
                "van Gogh, Vincent Willem, von Neumann, John Louis",
                &["van Gogh, Vincent Willem, von Neumann, John Louis"],
            ),
            ("Sammy Davis, Jr., Ann Example", &["Sammy Davis, Jr., Ann Example"]),
            ("Ann  Example ; ", &["Ann Example"]),
            ("", &[]),
            (" ; ", &[]),
        ] {
            assert_eq!(split(text), names, "{text}");
        }
    }
}
