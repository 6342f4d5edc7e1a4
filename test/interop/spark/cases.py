"""Spark Structured Streaming on the broker, all cases in one JVM. Arguments: bootstrap address, a folder to write to, prefix of topics, folder of jars.

The test has made PREFIX-in (2 partitions, 100 records) and PREFIX-gaps (compacted: PREFIX-gaps has fewer records than offsets). Each case prints
"NAME: RESULT" (test/interop/spark_test.go says what is expected). Behind through.started and through.went-on it waits for a line of its standard
input: the test kills a broker then, and writes more to PREFIX-live.
"""

import sys
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, concat, lit

BOOTSTRAP, DIR, PREFIX, JARS = sys.argv[1:5]
IN, OUT, BACK, GAPS, LOST, LIVE = (f"{PREFIX}-{n}" for n in ("in", "out", "back", "gaps", "lost", "live"))

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.driver.extraClassPath", JARS + "/*")
    .config("spark.sql.streaming.stopTimeout", "20000")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")


def case(name):
    def run(body):
        begun = time.monotonic()
        try:
            result = f"ok {body()}"
        except Exception as e:
            text = str(e)
            known = {"Some data may have been lost": "KAFKA_DATA_LOSS", "UnknownTopicOrPartition": "UnknownTopicOrPartition", "RecordTooLarge": "RecordTooLarge"}
            result = "error " + next((k for t, k in known.items() if t in text), f"{type(e).__name__} {text[:600]}")
        print(f"{name}: {result}".replace("\n", " ").replace("=True", "=true").rstrip(), flush=True)
        print(f"{name} took {time.monotonic() - begun:.1f} s", file=sys.stderr)

    return run


def source(reader, topic, **options):
    # A read that finds nothing where records should be waits for this long: two minutes if nothing is said.
    options = {"kafka.bootstrap.servers": BOOTSTRAP, "subscribe": topic, "startingOffsets": "earliest", "kafkaConsumer.pollTimeoutMs": "4000", **options}
    return reader.format("kafka").options(**options).load()


def batch(topic, **options):
    return source(spark.read, topic, **options)


def stream(topic, **options):
    return source(spark.readStream, topic, **options)


def drain(frame, name, target=None):
    """Runs a stream until it has read all there is: into files, or into a topic. It goes on from its checkpoint."""
    writer = frame.writeStream.option("checkpointLocation", f"{DIR}/checkpoint-{name}").trigger(availableNow=True)
    if target:
        writer = writer.format("kafka").option("kafka.bootstrap.servers", BOOTSTRAP).option("topic", target)
    else:
        writer = writer.format("parquet").option("path", f"{DIR}/files-{name}")
    query = writer.start()
    if not query.awaitTermination(60):
        query.stop()
        raise TimeoutError(name)
    return query


def written(name):
    rows = spark.read.parquet(f"{DIR}/files-{name}").select("topic", "partition", "offset")
    return rows.count(), rows.distinct().count()


def write(n, topic, start=0):
    rows = spark.range(start, start + n).select(
        concat(lit("k-"), col("id")).cast("binary").alias("key"), concat(lit("v-"), col("id")).cast("binary").alias("value")
    )
    rows.write.format("kafka").option("kafka.bootstrap.servers", BOOTSTRAP).option("topic", topic).save()


@case("batch.read")
def _():
    rows = batch(IN, includeHeaders="true")
    one = rows.where("partition = 0 and offset = 0").select("key", "value", "headers").first()
    return f"rows={rows.count()} key={one.key.decode()} value={one.value.decode()} header={one.headers[0].value.decode()}"


@case("batch.read-offsets")
def _():
    ranges = {"startingOffsets": f'{{"{IN}": {{"0": 10, "1": -2}}}}', "endingOffsets": f'{{"{IN}": {{"0": 20, "1": -1}}}}'}
    rows = batch(IN, **ranges)
    return f"rows={rows.count()} first={rows.where('partition = 0').agg({'offset': 'min'}).first()[0]}"


@case("batch.read-timestamp")
def _():
    # The records of partition 0 are stamped 1000, 2000, ... milliseconds after 2020-01-01.
    at = 1577836800000 + 30_000
    rows = batch(IN, startingOffsetsByTimestamp=f'{{"{IN}": {{"0": {at}, "1": {at}}}}}')
    return f"first={rows.where('partition = 0').agg({'offset': 'min'}).first()[0]}"


@case("batch.read-pattern")
def _():
    rows = spark.read.format("kafka").options(**{"kafka.bootstrap.servers": BOOTSTRAP, "subscribePattern": f"{PREFIX}-i.*", "startingOffsets": "earliest"}).load()
    return f"rows={rows.count()}"


@case("batch.write")
def _():
    write(200, OUT)
    rows = batch(OUT)
    return f"rows={rows.count()} keys={rows.select('key').distinct().count()}"


@case("stream.read")
def _():
    drain(stream(IN), "in")
    rows, distinct = written("in")
    return f"rows={rows} distinct={distinct}"


@case("stream.restart")
def _():
    write(50, IN, 1000)
    drain(stream(IN), "in")
    rows, distinct = written("in")
    return f"rows={rows} distinct={distinct}"


@case("stream.restart-nothing-new")
def _():
    drain(stream(IN), "in")
    rows, distinct = written("in")
    return f"rows={rows} distinct={distinct}"


@case("stream.limited")
def _():
    # The limit is on records per micro-batch, so a stream of 150 must take several.
    query = drain(stream(IN, maxOffsetsPerTrigger="40"), "limited")
    rows, distinct = written("limited")
    return f"rows={rows} distinct={distinct} batches={sum(1 for p in query.recentProgress if p['numInputRows'] > 0)}"


@case("stream.write-back")
def _():
    drain(stream(OUT).select("key", concat(col("value"), lit("!").cast("binary")).alias("value")), "back", BACK)
    rows = batch(BACK)
    return f"rows={rows.count()} keys={rows.select('key').distinct().count()}"


@case("stream.continuing")
def _():
    query = stream(OUT).groupBy().count().writeStream.outputMode("complete").format("memory").queryName("counts").trigger(processingTime="200 milliseconds").start()
    try:
        write(30, OUT, 5000)
        for _ in range(100):
            query.processAllAvailable()
            if spark.table("counts").first()[0] == 230:
                break
        return f"rows={spark.table('counts').first()[0]}"
    finally:
        query.stop()


@case("gaps.batch")
def _():
    rows = batch(GAPS, failOnDataLoss="true")
    last = rows.agg({"offset": "max"}).first()[0]
    return f"fewer={rows.count() < last + 1} keys={rows.select('key').distinct().count()} last={last}"


@case("gaps.stream")
def _():
    drain(stream(GAPS, failOnDataLoss="true", maxOffsetsPerTrigger="100"), "gaps")
    rows, distinct = written("gaps")
    return f"same={rows == distinct == batch(GAPS).count()}"


@case("lost.read")
def _():
    write(20, LOST)
    drain(stream(LOST), "lost")
    return f"rows={written('lost')[0]}"


@case("lost.detected")
def _():
    # Records that the checkpoint has not seen are deleted: a stream must say so, not jump over them.
    write(20, LOST, 100)
    ends = {r.partition: r.next for r in batch(LOST).groupBy("partition").agg({"offset": "max"}).selectExpr("partition", "`max(offset)` + 1 as next").collect()}
    before = [TopicPartition(LOST, partition, following) for partition, following in ends.items()]
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    for deleted in admin.delete_records(before).values():
        deleted.result(20)
    drain(stream(LOST, failOnDataLoss="true"), "lost")
    return f"rows={written('lost')[0]}"


@case("lost.accepted")
def _():
    write(10, LOST, 200)
    drain(stream(LOST, failOnDataLoss="false"), "lost")
    return f"rows={written('lost')[0]}"


@case("unknown.topic")
def _():
    return batch(f"{PREFIX}-unknown").count()


@case("too-large")
def _():
    rows = spark.range(1).select(lit("x" * 3_000_000).cast("binary").alias("value"))
    rows.write.format("kafka").options(**{"kafka.bootstrap.servers": BOOTSTRAP, "topic": OUT, "kafka.max.request.size": "4000000"}).save()
    return ""


def live(rows):
    """The stream of PREFIX-live, from its checkpoint, once it has written so many rows."""
    writer = stream(LIVE).writeStream.option("checkpointLocation", f"{DIR}/checkpoint-live").trigger(processingTime="200 milliseconds")
    query = writer.format("parquet").option("path", f"{DIR}/files-live").start()
    found = arrived(query, rows)
    return query, found


def arrived(query, rows):
    for _ in range(300):
        query.processAllAvailable()
        found = written("live")
        if found[0] >= rows:
            break
        time.sleep(0.1)
    return f"rows={found[0]} distinct={found[1]}"


running = None


@case("through.started")
def _():
    global running
    running, found = live(100)
    return found


@case("through.went-on")
def _():
    sys.stdin.readline()
    return arrived(running, 300)


@case("through.restarted")
def _():
    running.stop()
    sys.stdin.readline()
    again, found = live(500)
    again.stop()
    return found


spark.stop()
