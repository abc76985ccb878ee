//! The few forms of Markdown that the checks read: tables and lists under a heading.

/// The rows below the header of the first table that has all these columns; each row holds the cells of these columns
/// in this order, as plain text.
pub(crate) fn table(text: &str, columns: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut lines = text.lines();
    let places = lines.by_ref().find_map(|line| {
        let header = cells(line)?;
        columns.iter().map(|column| header.iter().position(|cell| cell == column)).collect::<Option<Vec<usize>>>()
    })?;
    let rows = lines.map_while(cells).skip(1); // skips the dashes
    Some(rows.map(|row| places.iter().map(|at| row.get(*at).cloned().unwrap_or_default()).collect()).collect())
}

/// The items of the list below the heading with this title, up to the next heading, with their continuation lines.
pub(super) fn list(text: &str, title: &str) -> Option<Vec<String>> {
    let mut lines =
        text.lines().skip_while(|line| !(line.starts_with('#') && line.trim_start_matches('#').trim() == title));
    lines.next()?;
    let mut items: Vec<String> = Vec::new();
    for line in lines.take_while(|line| !line.starts_with('#')) {
        if let Some(item) = line.strip_prefix("- ") {
            items.push(item.to_owned());
        } else if let (Some(item), true) = (items.last_mut(), line.starts_with("  ")) {
            item.push(' ');
            item.push_str(line.trim());
        }
    }
    Some(items)
}

/// The names between backticks.
pub(crate) fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn cells(line: &str) -> Option<Vec<String>> {
    let line = line.trim().strip_prefix('|')?;
    let line = line.strip_suffix('|').unwrap_or(line);
    Some(line.split('|').map(|cell| cell.trim().to_owned()).collect())
}
