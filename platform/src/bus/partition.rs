//! Which partition a stream belongs to: the same as the Java client's default partitioner says of its id.

/// The seed of the Java client's murmur2.
const SEED: u32 = 0x9747_b28c;

/// The partition of a stream, of so many: any producer that keys messages by the stream's id comes to the same.
pub fn partition(stream: &str, partitions: u16) -> u16 {
    let positive = murmur2(stream.as_bytes()) & 0x7fff_ffff;
    let partition = positive % u32::from(partitions.max(1));
    u16::try_from(partition).expect("a remainder is less than its divisor, which has 16 bits")
}

/// MurmurHash2 (Appleby 2008), 32 bits, as in `org.apache.kafka.common.utils.Utils`.
fn murmur2(bytes: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(MULTIPLIER);
        (word ^ (word >> 24)).wrapping_mul(MULTIPLIER)
    };
    // The Java client counts bytes in 32 bits too.
    let mut hash = SEED ^ (bytes.len() as u32);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_mul(MULTIPLIER) ^ mix(u32::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the Java client's own test, `UtilsTest.testMurmur2`.
    #[test]
    fn it_hashes_as_the_java_client_does() {
        for (bytes, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(bytes.as_bytes()).cast_signed(), hash, "{bytes}");
        }
    }

    /// What `BuiltInPartitioner.partitionForKey` of Kafka 4.3.1 answered.
    #[test]
    fn it_chooses_the_partition_that_the_java_client_chooses() {
        for (stream, partitions, chosen) in JAVA {
            assert_eq!(partition(stream, partitions), chosen, "{stream}");
        }
    }

    const JAVA: [(&str, u16, u16); 12] = [
        ("book-9f1c2d34-5b6a-5c7d-8e9f-0a1b2c3d4e5f", 1, 0),
        ("book-9f1c2d34-5b6a-5c7d-8e9f-0a1b2c3d4e5f", 12, 8),
        ("stock-9f1c2d34-5b6a-5c7d-8e9f-0a1b2c3d4e5f", 12, 5),
        ("order-0190b5a2-7c3e-7d4f-8a5b-6c7d8e9fa0b1", 12, 2),
        ("order-0190b5a2-7c3e-7d4f-8a5b-6c7d8e9fa0b1", 65_535, 34_628),
        ("a", 12, 4),
        ("ab", 12, 2),
        ("abc", 12, 3),
        ("abcd", 12, 8),
        ("", 12, 9),
        ("书-1", 12, 4),
        ("é", 65_535, 65_451),
    ];
}
