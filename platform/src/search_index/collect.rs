//! What is kept of the documents that answer a query: the best of them, how many there are, and how often each keyword.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader, TantivyError};

/// Which documents come first. Those that lack the number come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Those that answer the question best.
    Relevance,
    /// Those with the smallest number.
    Ascending(&'static str),
    /// Those with the greatest number.
    Descending(&'static str),
}

/// A document's place among the others: the greater first, and no two alike.
pub(super) type Rank = [i64; 3];

/// Values of one keyword, most documents first.
pub type Counts = Vec<(String, u64)>;

/// Values of a keyword that are told; of more, the most frequent ones.
const VALUES: usize = 100;

/// Keeps the best documents behind a place.
pub(super) struct Best {
    pub(super) order: Order,
    pub(super) ties: [&'static str; 2],
    pub(super) after: Option<Rank>,
    pub(super) limit: usize,
    pub(super) counted: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) total: u64,
    /// The best, the very best first.
    pub(super) best: Vec<(Rank, Score, DocAddress)>,
    /// For each keyword that was to be counted.
    pub(super) counts: Vec<Counts>,
}

pub(super) struct BestOfSegment {
    segment: SegmentOrdinal,
    order: Order,
    ordered_by: Option<Column<i64>>,
    ties: [Column<i64>; 2],
    after: Option<Rank>,
    limit: usize,
    total: u64,
    best: BinaryHeap<Reverse<(Rank, u32, DocAddress)>>,
    counted: Vec<(Option<StrColumn>, Vec<u64>)>,
}

impl Collector for Best {
    type Fruit = Collected;
    type Child = BestOfSegment;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<BestOfSegment> {
        let numbers = reader.fast_fields();
        let ordered_by = match self.order {
            Order::Relevance => None,
            Order::Ascending(name) | Order::Descending(name) => Some(numbers.i64(name)?),
        };
        let counted = self.counted.iter().map(|name| {
            let column = numbers.str(name)?;
            let values = column.as_ref().map_or(0, |column| column.num_terms());
            Ok((column, vec![0; values]))
        });
        Ok(BestOfSegment {
            segment,
            order: self.order,
            ordered_by,
            ties: [numbers.i64(self.ties[0])?, numbers.i64(self.ties[1])?],
            after: self.after,
            limit: self.limit,
            total: 0,
            best: BinaryHeap::new(),
            counted: counted.collect::<tantivy::Result<_>>()?,
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<Collected>>) -> tantivy::Result<Collected> {
        let mut all = Collected { counts: vec![Vec::new(); self.counted.len()], ..Collected::default() };
        let mut counts = vec![HashMap::<String, u64>::new(); self.counted.len()];
        for segment in segments {
            let segment = segment?;
            all.total += segment.total;
            all.best.extend(segment.best);
            for (counts, of_segment) in counts.iter_mut().zip(segment.counts) {
                for (value, count) in of_segment {
                    *counts.entry(value).or_default() += count;
                }
            }
        }
        all.best.sort_by_key(|(rank, ..)| Reverse(*rank));
        all.best.truncate(self.limit);
        for (all, counts) in all.counts.iter_mut().zip(counts) {
            all.extend(counts);
            all.sort_by(|(value, count), (other, other_count)| other_count.cmp(count).then_with(|| value.cmp(other)));
            all.truncate(VALUES);
        }
        Ok(all)
    }
}

impl SegmentCollector for BestOfSegment {
    type Fruit = tantivy::Result<Collected>;

    fn collect(&mut self, document: DocId, score: Score) {
        self.total += 1;
        for (column, counts) in &mut self.counted {
            for value in column.iter().flat_map(|column| column.term_ords(document)) {
                if let Some(count) = usize::try_from(value).ok().and_then(|value| counts.get_mut(value)) {
                    *count += 1;
                }
            }
        }
        let rank = self.rank(document, score);
        if self.after.is_some_and(|after| rank >= after) {
            return;
        }
        if self.best.len() < self.limit {
            self.best.push(Reverse((rank, score.to_bits(), DocAddress::new(self.segment, document))));
        } else if let Some(mut worst) = self.best.peek_mut()
            && rank > worst.0.0
        {
            *worst = Reverse((rank, score.to_bits(), DocAddress::new(self.segment, document)));
        }
    }

    fn harvest(self) -> tantivy::Result<Collected> {
        let best = self.best.into_iter().map(|Reverse((rank, score, at))| (rank, f32::from_bits(score), at)).collect();
        let counts =
            self.counted.into_iter().map(|(column, counts)| named(column, counts)).collect::<tantivy::Result<_>>()?;
        Ok(Collected { total: self.total, best, counts })
    }
}

impl BestOfSegment {
    fn rank(&self, document: DocId, score: Score) -> Rank {
        let number = self.ordered_by.as_ref().and_then(|column| column.first(document));
        let first = match (self.order, number) {
            // Bits of positive floats are ordered like the floats.
            (Order::Relevance, _) => i64::from(score.max(0.0).to_bits()),
            (Order::Ascending(_), Some(number)) => -number,
            (Order::Descending(_), Some(number)) => number,
            (_, None) => i64::MIN,
        };
        let tie = |column: &Column<i64>| column.first(document).unwrap_or(0);
        [first, tie(&self.ties[0]), -tie(&self.ties[1])]
    }
}

fn named(column: Option<StrColumn>, counts: Vec<u64>) -> tantivy::Result<Counts> {
    let Some(column) = column else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for (value, count) in (0..).zip(counts).filter(|(_, count)| *count > 0) {
        let mut name = String::new();
        column.ord_to_str(value, &mut name).map_err(TantivyError::from)?;
        values.push((name, count));
    }
    Ok(values)
}

/// Adds up a number, and counts, by the values of a keyword.
pub(super) struct Sums {
    pub(super) keyword: &'static str,
    pub(super) number: &'static str,
}

/// What was added up for a value, and of how many documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) sum: i64,
    pub(super) documents: u64,
}

pub(super) struct SumsOfSegment {
    keyword: Option<StrColumn>,
    number: Column<i64>,
    sums: HashMap<u64, Sum>,
}

impl Collector for Sums {
    type Fruit = HashMap<String, Sum>;
    type Child = SumsOfSegment;

    fn for_segment(&self, _: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<SumsOfSegment> {
        let columns = reader.fast_fields();
        Ok(SumsOfSegment {
            keyword: columns.str(self.keyword)?,
            number: columns.i64(self.number)?,
            sums: HashMap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<Vec<(String, Sum)>>>) -> tantivy::Result<Self::Fruit> {
        let mut sums: HashMap<String, Sum> = HashMap::new();
        for segment in segments {
            for (value, Sum { sum, documents }) in segment? {
                let all = sums.entry(value).or_default();
                (all.sum, all.documents) = (all.sum + sum, all.documents + documents);
            }
        }
        Ok(sums)
    }
}

impl SegmentCollector for SumsOfSegment {
    type Fruit = tantivy::Result<Vec<(String, Sum)>>;

    fn collect(&mut self, document: DocId, _: Score) {
        let number = self.number.first(document).unwrap_or(0);
        for value in self.keyword.iter().flat_map(|column| column.term_ords(document)) {
            let sum = self.sums.entry(value).or_default();
            (sum.sum, sum.documents) = (sum.sum + number, sum.documents + 1);
        }
    }

    fn harvest(self) -> Self::Fruit {
        let Some(column) = self.keyword else { return Ok(Vec::new()) };
        let named = |(value, sum)| {
            let mut name = String::new();
            column.ord_to_str(value, &mut name).map_err(TantivyError::from)?;
            Ok((name, sum))
        };
        self.sums.into_iter().map(named).collect()
    }
}
