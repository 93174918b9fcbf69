//! Languages by code or name, as the shortest BCP 47 tag (RFC 5646 section 4.5), and the forms of books by name.

use crate::imports::notes::{Notes, Repair};
use domain::book::description::{Format, Language};
use domain::invalid::Invalid;

/// ISO 639-2 codes, bibliographic and terminological, beside the ISO 639-1 codes that BCP 47 has for them.
const SHORTEST: &str = "aar aa abk ab afr af aka ak alb sq amh am ara ar arg an arm hy asm as ava av ave ae aym ay aze az \
    bak ba bam bm baq eu bel be ben bn bis bi bod bo bos bs bre br bul bg bur my cat ca ces cs cha ch che ce chi zh chu cu \
    chv cv cor kw cos co cre cr cym cy cze cs dan da deu de div dv dut nl dzo dz ell el eng en epo eo est et eus eu ewe ee \
    fao fo fas fa fij fj fin fi fra fr fre fr fry fy ful ff geo ka ger de gla gd gle ga glg gl glv gv gre el grn gn guj gu \
    hat ht hau ha heb he her hz hin hi hmo ho hrv hr hun hu hye hy ibo ig ice is ido io iii ii iku iu ile ie ina ia ind id \
    ipk ik isl is ita it jav jv jpn ja kal kl kan kn kas ks kat ka kau kr kaz kk khm km kik ki kin rw kir ky kom kv kon kg \
    kor ko kua kj kur ku lao lo lat la lav lv lim li lin ln lit lt ltz lb lub lu lug lg mac mk mah mh mal ml mao mi mar mr \
    may ms mkd mk mlg mg mlt mt mon mn mri mi msa ms mya my nau na nav nv nbl nr nde nd ndo ng nep ne nld nl nno nn nob nb \
    nor no nya ny oci oc oji oj ori or orm om oss os pan pa per fa pli pi pol pl por pt pus ps que qu roh rm ron ro rum ro \
    run rn rus ru sag sg san sa sin si slk sk slo sk slv sl sme se smo sm sna sn snd sd som so sot st spa es sqi sq srd sc \
    srp sr ssw ss sun su swa sw swe sv tah ty tam ta tat tt tel te tgk tg tgl tl tha th tib bo tir ti ton to tsn tn tso ts \
    tuk tk tur tr twi tw uig ug ukr uk urd ur uzb uz ven ve vie vi vol vo wel cy wln wa wol wo xho xh yid yi yor yo zha za \
    zho zh zul zu";

/// Languages by their names, as tables write them.
const NAMES: &str = "english en englisch en anglais en inglés en 英语 en 英語 en 英文 en chinese zh chinesisch zh chinois zh chino zh \
    中文 zh 汉语 zh 漢語 zh 华语 zh 简体中文 zh-Hans 繁体中文 zh-Hant 繁體中文 zh-Hant 簡體中文 zh-Hans german de deutsch de allemand de \
    alemán de 德语 de 德語 de 德文 de french fr französisch fr français fr francés fr 法语 fr 法語 fr 法文 fr spanish es spanisch es \
    espagnol es español es castellano es 西班牙语 es 西班牙語 es italian it italiano it italienisch it italien it 意大利语 it \
    japanese ja japanisch ja japonais ja japonés ja 日语 ja 日語 ja 日文 ja 日本語 ja korean ko 韩语 ko 韓語 ko 韩文 ko 한국어 ko russian ru \
    russisch ru russe ru ruso ru русский ru 俄语 ru 俄語 ru 俄文 ru portuguese pt português pt dutch nl nederlands nl polish pl \
    polski pl swedish sv svenska sv danish da dansk da norwegian no norsk no finnish fi suomi fi turkish tr türkçe tr arabic ar \
    العربية ar hebrew he עברית he greek el ελληνικά el hindi hi latin la latein la vietnamese vi thai th czech cs hungarian hu";

/// The forms of books by their names, in small letters and without anything but letters.
const FORMS: [(Format, &str); 4] = [
    (
        Format::Hardback,
        "hardback hardcover hardbound hardcoverbook hb hc bb 精装 精裝 精装本 gebunden gebundeneausgabe hardcoverausgabe relié \
         reliure cartonné tapadura encuadernado cartoné",
    ),
    (
        Format::Paperback,
        "paperback softcover softback massmarketpaperback tradepaperback pb pbk bc 平装 平裝 平装本 taschenbuch broschiert broschur \
         kartoniert broché brochée poche livredepoche tapablanda rústica bolsillo",
    ),
    (
        Format::Ebook,
        "ebook ebooks epub pdf kindle kindleedition digital 电子书 電子書 elektronischesbuch livrenumérique numérique \
         libroelectrónico",
    ),
    (Format::Audiobook, "audiobook audio audiocd 有声书 有聲書 hörbuch livreaudio audiolibro"),
];

/// Reads a language by code or name; `field` is what to call it.
pub(crate) fn read(text: &str, notes: &mut Notes) -> Result<Language, Invalid> {
    if text.is_empty() {
        return Language::parse("und");
    }
    let tag = text.replace('_', "-");
    let small = tag.to_lowercase();
    let named = paired(NAMES, &small);
    let shortest = named.map_or_else(|| shortest(&tag), str::to_owned);
    // A word of five to eight letters is a well-formed tag, but no language has one.
    if shortest.split('-').next().is_some_and(|language| language.len() > 3) {
        return Err(Invalid::Language);
    }
    let language = Language::parse(&shortest)?;
    if shortest != text {
        notes.repaired(Repair::LanguageCode);
    }
    Ok(language)
}

/// The tag with its language as two letters, where there are two.
pub(crate) fn shortest(tag: &str) -> String {
    let (language, rest) = tag.split_at(tag.find('-').unwrap_or(tag.len()));
    let small = language.to_lowercase();
    format!("{}{rest}", paired(SHORTEST, &small).unwrap_or(&small))
}

/// Reads the form of a book by its name.
pub(crate) fn form(text: &str) -> Option<Format> {
    let plain: String =
        text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    FORMS.iter().find(|(_, names)| names.split_whitespace().any(|name| name == plain)).map(|(format, _)| *format)
}

fn paired<'a>(pairs: &'a str, first: &str) -> Option<&'a str> {
    let mut words = pairs.split_whitespace();
    while let (Some(known), Some(tag)) = (words.next(), words.next()) {
        if known == first {
            return Some(tag);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_become_the_shortest_tag() {
        for (text, tag) in [
            ("", "und"),
            ("fre", "fr"),
            ("fra", "fr"),
            ("chi", "zh"),
            ("eng", "en"),
            ("GER", "de"),
            ("en", "en"),
            ("en-GB", "en-GB"),
            ("zh_TW", "zh-TW"),
            ("eng-US", "en-US"),
            ("grc", "grc"),
            ("und", "und"),
            ("mul", "mul"),
            ("English", "en"),
            ("中文", "zh"),
            ("繁體中文", "zh-Hant"),
            ("Français", "fr"),
        ] {
            let language = read(text, &mut Notes::default());
            assert_eq!(language.as_ref().map(Language::as_str), Ok(tag), "{text}");
        }
        for text in ["Klingon", "no language", "e", "123", "x"] {
            assert_eq!(read(text, &mut Notes::default()), Err(Invalid::Language), "{text}");
        }
    }

    #[test]
    fn every_pair_is_whole() {
        for pairs in [SHORTEST, NAMES] {
            let words: Vec<_> = pairs.split_whitespace().collect();
            assert_eq!(words.len() % 2, 0);
            for pair in words.chunks(2) {
                assert!(Language::parse(pair[1]).is_ok() && pair[1].split('-').next().unwrap().len() == 2, "{pair:?}");
            }
        }
        assert!(SHORTEST.split_whitespace().step_by(2).all(|code| code.len() == 3));
    }

    #[test]
    fn forms_are_known_by_name() {
        for (text, format) in [
            ("精装", Some(Format::Hardback)),
            ("Hard-cover", Some(Format::Hardback)),
            ("Mass Market Paperback", Some(Format::Paperback)),
            ("E-Book", Some(Format::Ebook)),
            ("Hörbuch", Some(Format::Audiobook)),
            ("scroll", None),
            ("", None),
        ] {
            assert_eq!(form(text), format, "{text}");
        }
    }
}
