//! XML that scanners put into TIFF tags, within limits. Not here: what the elements mean.

use roxmltree::{Document, Node, ParsingOptions};

/// Elements, texts and comments of most documents; each takes some hundred bytes.
pub(super) const MAX_NODES: u32 = 1 << 17;

/// Reads a document of at most so many nodes, or says what is wrong with it. Entities and document types are refused.
pub(super) fn parse(text: &str, max_nodes: u32) -> Result<Document<'_>, String> {
    let options = ParsingOptions { nodes_limit: max_nodes, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|error| format!("not the XML that is expected: {error}"))
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
        let deep = "<a>".repeat(50_000);
        assert!(parse(&deep).is_err());
        assert_eq!(children(parse("<a><b/><c/><b/></a>").expect("XML").root_element(), "b").count(), 2);
    }
}
