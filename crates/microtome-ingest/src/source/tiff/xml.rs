//! XML that scanners put into TIFF tags, within limits. Not here: what the elements mean.

use roxmltree::{Document, Node, ParsingOptions};

/// Elements, texts and comments of most documents; each takes some hundred bytes.
pub(super) const MAX_NODES: u32 = 1 << 17;

/// More attributes of one element than any scanner writes. The parser compares each with all others of its element.
const MAX_ATTRIBUTES: usize = 256;

/// Reads a document of at most so many nodes, or says what is wrong with it. Entities and document types are refused.
pub(super) fn parse(text: &str, max_nodes: u32) -> Result<Document<'_>, String> {
    if text.split('<').any(has_too_many_attributes) {
        return Err(format!(
            "not the XML that is expected: an element has more than {MAX_ATTRIBUTES} attributes"
        ));
    }
    let options = ParsingOptions { nodes_limit: max_nodes, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|error| format!("not the XML that is expected: {error}"))
}

/// Whether what follows a `<`, up to the next one, is a tag with too many values in quotes.
fn has_too_many_attributes(piece: &str) -> bool {
    let (mut quote, mut values) = (None, 0);
    for byte in piece.bytes() {
        match (quote, byte) {
            (None, b'>') => return false,
            (None, b'"' | b'\'') => (quote, values) = (Some(byte), values + 1),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        if values > MAX_ATTRIBUTES {
            return true;
        }
    }
    false
}

/// The elements below a node that have this name, whatever their namespace.
pub(super) fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_are_refused() {
        fn parse(text: &str) -> Result<Document<'_>, String> {
            super::parse(text, MAX_NODES)
        }
        assert!(parse(&format!("<a>{}</a>", "<b/>".repeat(MAX_NODES as usize))).is_err());
        assert!(parse("<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\">]><a>&b;</a>").is_err());
        let attributes = |count: usize| {
            let all: String =
                (0..count).map(|number| format!(" a{number} = '<>\"'").replace('<', "&lt;")).collect();
            format!("<a{all}>{}</a>", "\"' ".repeat(1000))
        };
        assert!(parse(&attributes(MAX_ATTRIBUTES)).is_ok());
        assert!(parse(&attributes(MAX_ATTRIBUTES + 1)).is_err_and(|why| why.contains("256 attributes")));
        let deep = "<a>".repeat(50_000);
        assert!(parse(&deep).is_err());
        assert_eq!(children(parse("<a><b/><c/><b/></a>").expect("XML").root_element(), "b").count(), 2);
    }
}
