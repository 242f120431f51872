//! No two files depend on each other, directly or through further files. Naming a parent or child
//! module does not count.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::layering::files;

type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// Returns the module path of a file.
fn module_of(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod")) || parts == ["lib"] {
        parts.pop();
    }
    parts
}

/// Adds the paths that `text`, which follows `prefix::`, names: one path, or a list in braces.
fn expand(prefix: &[String], text: &str, named: &mut BTreeSet<Module>) {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    expand(prefix, &list[start..at], named);
                    start = at + 1;
                    if character == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let mut path = prefix.to_vec();
    match (word, rest.strip_prefix("::")) {
        ("super", Some(rest)) => {
            path.pop();
            expand(&path, rest, named);
        }
        ("self", Some(rest)) => expand(&path, rest, named),
        (_, Some(rest)) => {
            path.push(word.to_owned());
            expand(&path, rest, named);
        }
        (_, None) => {
            path.push(word.to_owned());
            named.insert(path);
        }
    }
}

/// Returns the modules that each module names.
fn graph(files: &[(String, String)]) -> Graph {
    let modules: BTreeMap<Module, &str> =
        files.iter().map(|(path, code)| (module_of(path), code.as_str())).collect();
    let mut graph = Graph::new();
    for (module, code) in &modules {
        let mut named = BTreeSet::new();
        for (start, prefix) in
            [("crate::", Vec::new()), ("self::", module.clone()), ("super::", parent(module))]
        {
            for (at, _) in code.match_indices(start) {
                let before = code[..at].chars().next_back();
                if before.is_none_or(|before| {
                    !before.is_alphanumeric() && before != '_' && before != ':'
                }) {
                    expand(&prefix, &code[at + start.len()..], &mut named);
                }
            }
        }
        // `use child::Item`, by name alone.
        for line in code.split('\n').filter_map(|line| line.trim_start().strip_prefix("use ")) {
            let child: String =
                line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if modules.contains_key(&[module.as_slice(), &[child]].concat()) {
                expand(module, line, &mut named);
            }
        }
        let files = named.into_iter().filter_map(|mut path| {
            while !path.is_empty() && !modules.contains_key(&path) {
                path.pop();
            }
            let is_relative = path.starts_with(module) || module.starts_with(&path);
            (!is_relative).then_some(path)
        });
        graph.insert(module.clone(), files.collect());
    }
    graph
}

fn parent(module: &[String]) -> Module {
    module.split_last().map_or_else(Vec::new, |(_, parent)| parent.to_vec())
}

/// Returns each cycle as the list of its modules.
fn circles(graph: &Graph) -> Vec<String> {
    let reached = |from: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for other in graph.get(&module).into_iter().flatten() {
                if seen.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        graph.keys().map(|module| (module, reached(module))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        if others.contains(*module) {
            let round = others.iter().filter(|other| reached[*other].contains(*module));
            circles.insert(round.map(|module| module.join("::")).collect::<Vec<_>>().join(" <-> "));
        }
    }
    circles.into_iter().collect()
}

#[test]
fn no_file_is_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "codec/src"] {
        let files = files(&root.join(folder));
        assert!(files.len() > 30, "{folder}");
        assert_eq!(circles(&graph(&files)), Vec::<String>::new(), "{folder}");
    }
}

#[test]
fn circles_are_found() {
    let file = |path: &str, code: &str| (path.to_owned(), code.to_owned());
    let files = [
        file("lib.rs", "mod a;\nmod b;"),
        file("a/mod.rs", "mod c;\npub use c::C;\nuse super::b::{x::Y, Z};"),
        file("a/c.rs", "use super::D;\nuse crate::e::E;"),
        file("b.rs", "use crate::{a::c::C, f};"),
        file("e.rs", "fn e() { crate::b::x() }"),
    ];
    assert_eq!(circles(&graph(&files)), ["a::c <-> b <-> e"]);
    assert_eq!(circles(&graph(&files[..4])), Vec::<String>::new());
}
