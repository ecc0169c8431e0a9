use std::collections::BTreeMap;

/// One scrape of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
    /// As it came.
    pub text: String,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// # Panics
    /// When a line is not of the Prometheus text format.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a metric: {line}"))).collect();
        Self { samples, text: text.to_owned() }
    }

    /// Both together, as a sum over all instances sees them.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.samples.extend(other.samples);
        self.text.push_str(&other.text);
        self
    }

    /// The sum of all series of that name that have these labels; 0 where there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }

    /// [`Metrics::value`] of a counter.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.value(name, labels) as u64
    }

    /// Notifies of one tenant that ended that way.
    pub fn notifies(&self, tenant: &str, kind: &str, outcome: &str) -> u64 {
        self.count("dukou_notify_total", &[("tenant", tenant), ("kind", kind), ("outcome", outcome)])
    }

    /// Whether the name has a series, or is announced by a `# TYPE` line.
    pub fn has(&self, name: &str) -> bool {
        let announced = format!("# TYPE {name} ");
        self.samples.iter().any(|sample| sample.name == name) || self.text.contains(&announced)
    }

    /// The values of one label under that name.
    pub fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let named = self.samples.iter().filter(|sample| sample.name == name);
        named.filter_map(|sample| sample.labels.get(label).map(String::as_str)).collect()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        None => (series, BTreeMap::new()),
        Some((name, rest)) => (name, read_labels(rest.strip_suffix('}')?)?),
    };
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// `a="b",c="d"`, where a value may hold `\"`, `\\` and `\n`.
fn read_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value);
        text = rest[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_text_format() {
        let text = "# HELP a x\n# TYPE a counter\na{t=\"b\",k=\"p\"} 3\na{t=\"c\",k=\"q\\\"u,}\"} 4\nb 0.5\n# TYPE empty counter\n";
        let metrics = Metrics::parse(text);
        for (name, labels, value) in [
            ("a", vec![], 7.0),
            ("a", vec![("t", "b")], 3.0),
            ("a", vec![("k", "q\"u,}")], 4.0),
            ("a", vec![("t", "d")], 0.0),
            ("b", vec![], 0.5),
            ("c", vec![], 0.0),
        ] {
            assert_eq!(metrics.value(name, &labels), value, "{name} {labels:?}");
        }
        assert!(metrics.has("a") && metrics.has("empty") && !metrics.has("c"));
        assert_eq!(metrics.label_values("a", "t"), ["b", "c"]);
    }
}
