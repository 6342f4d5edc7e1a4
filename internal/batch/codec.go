package batch

// Codec is how the records of a batch are compressed; the numbers are Kafka's.
type Codec int8

// The codecs, and the wish to keep whatever the producer chose.
const (
	ProducerCodec Codec = iota - 1 // compression.type=producer; never in a batch
	None
	Gzip
	Snappy
	LZ4
	Zstd
)

// DefaultLevel stands for the level a codec has when nobody asks for one: gzip 6, lz4 fast, zstd 3.
const DefaultLevel = 0

// codecNames are the values of compression.type, ProducerCodec first.
var codecNames = [...]string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}

// String is Kafka's name in compression.type.
func (c Codec) String() string {
	if !c.valid() && c != ProducerCodec {
		return "unknown"
	}
	return codecNames[c+1]
}

func (c Codec) valid() bool { return c >= None && c <= Zstd }

// CodecByName reads a value of compression.type.
func CodecByName(name string) (Codec, bool) {
	for i, n := range codecNames {
		if n == name {
			return Codec(i - 1), true
		}
	}
	return None, false
}

// MaxDecompressed is the most that one batch may decompress to, whatever max.message.bytes says.
const MaxDecompressed = 256 << 20

// decompressedPerByte is how far max.message.bytes is stretched: no codec but zstd and gzip reaches it, and those only on records
// that say nothing.
const decompressedPerByte = 64

// Limits bound what reading one batch may cost.
type Limits struct {
	Decompressed int64 // bytes the records may decompress to; 0 means MaxDecompressed
}

// LimitsFor is the limit for a topic: 64 times its max.message.bytes, MaxDecompressed at most.
func LimitsFor(maxMessageBytes int) Limits {
	if maxMessageBytes <= 0 || maxMessageBytes > MaxDecompressed/decompressedPerByte {
		return Limits{Decompressed: MaxDecompressed}
	}
	return Limits{Decompressed: int64(maxMessageBytes) * decompressedPerByte}
}

func (l Limits) budget() int64 {
	if l.Decompressed <= 0 || l.Decompressed > MaxDecompressed {
		return MaxDecompressed
	}
	return l.Decompressed
}
