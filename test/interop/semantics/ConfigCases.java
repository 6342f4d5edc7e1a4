import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.common.config.ConfigResource;

/** Configs of topics, brokers and groups: every key with its type and value, changes, and every way to ask for them wrongly. */
final class ConfigCases {
    private final Asked a;

    ConfigCases(Asked a) { this.a = a; }

    void run() {
        a.topic("c.one", 1, Map.of("retention.ms", "5000"));
        describeTopic();
        describeBroker();
        describeOthers();
        alter();
        alterBroker();
        alterGroup();
    }

    private static ConfigResource topic(String name) { return new ConfigResource(ConfigResource.Type.TOPIC, name); }

    private static ConfigResource broker(String name) { return new ConfigResource(ConfigResource.Type.BROKER, name); }

    private static ConfigResource group(String name) { return new ConfigResource(ConfigResource.Type.GROUP, name); }

    private Config describe(ConfigResource r) throws Exception {
        return Asked.get(a.admin.describeConfigs(List.of(r), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(r);
    }

    private static String shown(ConfigEntry e) {
        List<String> synonyms = new ArrayList<>();
        for (ConfigEntry.ConfigSynonym s : e.synonyms()) synonyms.add(s.source() + ":" + s.name() + "=" + s.value());
        return e.value() + " source=" + e.source() + " type=" + e.type() + " readOnly=" + e.isReadOnly() + " sensitive=" + e.isSensitive() + " synonyms=" + synonyms
            + " documented=" + (e.documentation() != null && !e.documentation().isEmpty());
    }

    private void describeTopic() {
        try {
            for (ConfigEntry e : new TreeMap<>(byName(describe(topic("c.one")))).values()) a.say("config.topic." + e.name(), () -> shown(e));
        } catch (Exception e) {
            a.say("config.topic", () -> { throw e; });
        }
    }

    private static Map<String, ConfigEntry> byName(Config c) {
        Map<String, ConfigEntry> entries = new TreeMap<>();
        c.entries().forEach(e -> entries.put(e.name(), e));
        return entries;
    }

    private void describeBroker() {
        try {
            for (ConfigEntry e : byName(describe(broker("" + a.node))).values()) a.say("config.broker." + e.name(), () -> shown(e));
        } catch (Exception e) {
            a.say("config.broker", () -> { throw e; });
        }
    }

    private void describeOthers() {
        a.say("config.describe.some", () -> {
            ConfigResource r = topic("c.one");
            return byName(Asked.get(a.admin.describeConfigs(List.of(r)).all()).get(r)).size() > 0;
        });
        a.say("config.describe.unknown-topic", () -> describe(topic("c.unknown")));
        a.say("config.describe.invalid-topic", () -> describe(topic("c/unknown")));
        a.say("config.describe.empty-topic", () -> describe(topic("")));
        a.say("config.describe.unknown-broker", () -> describe(broker("99")));
        a.say("config.describe.not-a-broker", () -> describe(broker("one")));
        a.say("config.describe.default-broker", () -> describe(broker("")).entries());
        try {
            for (ConfigEntry e : byName(describe(group("c.group"))).values()) a.say("config.group." + e.name(), () -> shown(e));
        } catch (Exception e) {
            a.say("config.group", () -> { throw e; });
        }
        a.say("config.describe.empty-group", () -> describe(group("")).entries());
    }

    private static AlterConfigOp op(String name, String value, AlterConfigOp.OpType type) { return new AlterConfigOp(new ConfigEntry(name, value), type); }

    private String alter(ConfigResource r, boolean validateOnly, AlterConfigOp... ops) throws Exception {
        Collection<AlterConfigOp> all = List.of(ops);
        Asked.get(a.admin.incrementalAlterConfigs(Map.of(r, all), new AlterConfigsOptions().validateOnly(validateOnly)).all());
        return "";
    }

    private String value(ConfigResource r, String name) throws Exception {
        ConfigEntry e = byName(describe(r)).get(name);
        return e == null ? "none" : e.value() + "/" + e.source();
    }

    /** Whether the value begins so, again and again: of several brokers each may be the one that answers, and learns of a change in its own time. */
    private boolean everywhere(ConfigResource r, String key, String start) throws Exception {
        for (int i = 0; i < (a.alone ? 1 : 8); i++) if (!value(r, key).startsWith(start)) return false;
        return true;
    }

    /** Changes a key and says what it is then; Kafka's broker may learn of it a little later. */
    private void changed(String name, ConfigResource r, String key, String value, AlterConfigOp.OpType type, String expected) {
        a.say(name, () -> {
            alter(r, false, op(key, value, type));
            Asked.await(() -> everywhere(r, key, expected + "/"));
            return value(r, key);
        });
    }

    private void alter() {
        ConfigResource t = topic("c.one");
        AlterConfigOp.OpType set = AlterConfigOp.OpType.SET;
        changed("config.alter.set", t, "retention.ms", "7000", set, "7000");
        changed("config.alter.delete", t, "retention.ms", "", AlterConfigOp.OpType.DELETE, "604800000");
        changed("config.alter.delete-unset", t, "segment.ms", "", AlterConfigOp.OpType.DELETE, "604800000");
        changed("config.alter.append", t, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND, "delete,compact");
        changed("config.alter.append-again", t, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND, "delete,compact");
        changed("config.alter.subtract", t, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT, "compact");
        changed("config.alter.subtract-absent", t, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT, "compact");
        a.say("config.alter.append-to-number", () -> alter(t, false, op("retention.ms", "1", AlterConfigOp.OpType.APPEND)));
        a.say("config.alter.subtract-from-number", () -> alter(t, false, op("retention.ms", "1", AlterConfigOp.OpType.SUBTRACT)));
        a.say("config.alter.validate-only", () -> alter(t, true, op("retention.ms", "1234", set)));
        a.say("config.alter.validate-only.unchanged", () -> value(t, "retention.ms"));
        a.say("config.alter.validate-only.bad", () -> alter(t, true, op("retention.ms", "x", set)));
        a.say("config.alter.bad-value", () -> alter(t, false, op("retention.ms", "x", set)));
        a.say("config.alter.below-minimum", () -> alter(t, false, op("segment.bytes", "1", set)));
        a.say("config.alter.unknown-key", () -> alter(t, false, op("no.such", "1", set)));
        a.say("config.alter.delete-unknown-key", () -> alter(t, false, op("no.such", "1", AlterConfigOp.OpType.DELETE)));
        a.say("config.alter.same-key-twice", () -> alter(t, false, op("retention.ms", "1", set), op("retention.ms", "2", set)));
        a.say("config.alter.null-value", () -> alter(t, false, op("retention.ms", null, set)));
        a.say("config.alter.nothing", () -> alter(t, false));
        a.say("config.alter.unknown-topic", () -> alter(topic("c.unknown"), false, op("retention.ms", "1", set)));
        a.say("config.alter.invalid-topic", () -> alter(topic("c/unknown"), false, op("retention.ms", "1", set)));
        a.say("config.alter.empty-topic", () -> alter(topic(""), false, op("retention.ms", "1", set)));
        a.say("config.alter.remote-storage", () -> alter(t, false, op("remote.storage.enable", "true", set)));
        a.say("config.alter.good-and-bad", () -> alter(t, false, op("retention.ms", "8000", set), op("segment.bytes", "x", set)));
        a.say("config.alter.good-and-bad.unchanged", () -> value(t, "retention.ms"));
    }

    private void alterBroker() {
        ConfigResource all = broker("");
        ConfigResource mine = broker("" + a.node);
        AlterConfigOp.OpType set = AlterConfigOp.OpType.SET;
        changed("config.broker-default.set", all, "log.retention.ms", "99000", set, "99000");
        a.say("config.broker-default.in-broker", () -> value(mine, "log.retention.ms"));
        a.say("config.broker-default.in-topic", () -> value(topic("c.one"), "retention.ms"));
        changed("config.broker.set", mine, "log.retention.ms", "88000", set, "88000");
        // Of several brokers it is one's own business what it says of this.
        if (a.alone) a.say("config.broker.in-topic", () -> value(topic("c.one"), "retention.ms"));
        if (a.alone) a.say("config.broker.synonyms", () -> shown(byName(describe(topic("c.one"))).get("retention.ms")));
        a.say("config.broker.delete", () -> alter(mine, false, op("log.retention.ms", "", AlterConfigOp.OpType.DELETE)));
        a.say("config.broker-default.delete", () -> alter(all, false, op("log.retention.ms", "", AlterConfigOp.OpType.DELETE)));
        a.say("config.broker.read-only", () -> alter(mine, false, op("node.id", "7", set)));
        a.say("config.broker.read-only-port", () -> alter(mine, false, op("auto.create.topics.enable", "false", set)));
        a.say("config.broker.per-broker-for-all", () -> alter(all, false, op("listener.security.protocol.map", "A:PLAINTEXT", set)));
        a.say("config.broker.bad-value", () -> alter(mine, false, op("log.retention.ms", "x", set)));
        a.say("config.broker.unknown-key", () -> alter(mine, false, op("no.such.key", "1", set)));
        a.say("config.broker.unknown-broker", () -> alter(broker("99"), false, op("log.retention.ms", "1", set)));
        a.say("config.broker.not-a-broker", () -> alter(broker("one"), false, op("log.retention.ms", "1", set)));
    }

    private void alterGroup() {
        ConfigResource g = group("c.group");
        AlterConfigOp.OpType set = AlterConfigOp.OpType.SET;
        changed("config.group.set", g, "consumer.session.timeout.ms", "50000", set, "50000");
        changed("config.group.delete", g, "consumer.session.timeout.ms", "", AlterConfigOp.OpType.DELETE, "45000");
        a.say("config.group.bad-value", () -> alter(g, false, op("consumer.session.timeout.ms", "x", set)));
        a.say("config.group.out-of-range", () -> alter(g, false, op("consumer.session.timeout.ms", "1", set)));
        a.say("config.group.unknown-key", () -> alter(g, false, op("no.such", "1", set)));
        a.say("config.group.empty-name", () -> alter(group(""), false, op("consumer.session.timeout.ms", "50000", set)));
    }
}
