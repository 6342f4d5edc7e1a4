import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** The cluster as an administrator sees it: nodes, features, quorum, log directories, elections, moves, and what this broker does not have. */
final class ClusterCases {
    private static final TopicPartition ONE = new TopicPartition("k.one", 0);
    private static final TopicPartition UNKNOWN = new TopicPartition("k.unknown", 0);
    private final Asked a;

    ClusterCases(Asked a) { this.a = a; }

    void run() {
        a.topic("k.one", 2, Map.of());
        a.fill("k.one", 0, 10, System.currentTimeMillis());
        cluster();
        logDirs();
        elections();
        moves();
        others();
    }

    private void cluster() {
        a.say("cluster.nodes", () -> Asked.get(a.admin.describeCluster().nodes()).stream().map(n -> n.host() + ":" + n.port() + " rack=" + n.rack() + " fenced=" + n.isFenced()).toList());
        a.say("cluster.controller", () -> {
            int id = Asked.get(a.admin.describeCluster().controller()).id();
            return Asked.get(a.admin.describeCluster().nodes()).stream().anyMatch(n -> n.id() == id);
        });
        a.say("cluster.operations", () -> Asked.get(a.admin.describeCluster().authorizedOperations()));
        a.say("cluster.operations.asked", () -> new TreeSet<>(Asked.get(a.admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true)).authorizedOperations())));
        a.say("cluster.fenced", () -> Asked.get(a.admin.describeCluster(new DescribeClusterOptions().includeFencedBrokers(true)).nodes()).size());
        a.say("cluster.topic-operations", () -> new TreeSet<>(Asked.get(a.admin.describeTopics(List.of("k.one"), new org.apache.kafka.clients.admin.DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames()).get("k.one").authorizedOperations()));
        a.say("features.supported", () -> new TreeMap<>(Asked.get(a.admin.describeFeatures().featureMetadata()).supportedFeatures()));
        a.say("features.finalized", () -> new TreeMap<>(Asked.get(a.admin.describeFeatures().featureMetadata()).finalizedFeatures()));
        a.say("features.unknown", () -> update("no.such.feature", (short) 1, FeatureUpdate.UpgradeType.UPGRADE));
        a.say("features.too-high", () -> update("metadata.version", (short) 1000, FeatureUpdate.UpgradeType.UPGRADE));
        a.say("features.same", () -> {
            short level = Asked.get(a.admin.describeFeatures().featureMetadata()).finalizedFeatures().get("metadata.version").maxVersionLevel();
            return update("metadata.version", level, FeatureUpdate.UpgradeType.UPGRADE);
        });
        a.say("quorum", () -> {
            var q = Asked.get(a.admin.describeMetadataQuorum().quorumInfo());
            return "leader=" + q.voters().stream().anyMatch(v -> v.replicaId() == q.leaderId()) + " voters=" + q.voters().size() + " observers=" + q.observers().size() + " caught-up=" + (q.voters().get(0).logEndOffset() > 0) + " nodes=" + q.nodes().size();
        });
        a.say("unregister.unknown", () -> Asked.get(a.admin.unregisterBroker(99).all()));
        a.say("config-resources", () -> Asked.get(a.admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER, ConfigResource.Type.GROUP), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all()).stream()
            .map(r -> r.type() + "/" + r.name()).filter(n -> n.startsWith("BROKER") || n.contains("k.one") || n.startsWith("GROUP")).sorted().toList());
        a.say("config-resources.client-metrics", () -> Asked.get(a.admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all()));
    }

    private Object update(String feature, short level, FeatureUpdate.UpgradeType type) throws Exception {
        Asked.get(a.admin.updateFeatures(Map.of(feature, new FeatureUpdate(level, type)), new UpdateFeaturesOptions().validateOnly(true)).all());
        return "";
    }

    private void logDirs() {
        a.say("log-dirs", () -> {
            Map<String, LogDirDescription> dirs = Asked.get(a.admin.describeLogDirs(List.of(a.node)).allDescriptions()).get(a.node);
            LogDirDescription d = dirs.values().iterator().next();
            var r = d.replicaInfos().get(ONE);
            return dirs.size() + " error=" + d.error() + " size=" + (r.size() > 0) + " lag=" + r.offsetLag() + " future=" + r.isFuture() + " total=" + (d.totalBytes().getAsLong() > 0) + " usable=" + (d.usableBytes().getAsLong() > 0);
        });
        a.say("log-dirs.replica", () -> {
            TopicPartitionReplica r = new TopicPartitionReplica("k.one", 0, a.node);
            var info = Asked.get(a.admin.describeReplicaLogDirs(List.of(r)).all()).get(r);
            return "current=" + (info.getCurrentReplicaLogDir() != null) + " lag=" + info.getCurrentReplicaOffsetLag() + " future=" + info.getFutureReplicaLogDir();
        });
        a.say("log-dirs.replica.unknown", () -> {
            TopicPartitionReplica r = new TopicPartitionReplica("k.unknown", 0, a.node);
            return Asked.get(a.admin.describeReplicaLogDirs(List.of(r)).all()).get(r).getCurrentReplicaLogDir();
        });
    }

    private Object elect(ElectionType type, Set<TopicPartition> partitions) throws Exception {
        Map<String, String> shown = new TreeMap<>();
        Asked.get(a.admin.electLeaders(type, partitions).partitions()).forEach((p, e) -> shown.put(p.toString(), e.map(Asked::failure).orElse("ok")));
        return shown;
    }

    private void elections() {
        a.say("elect.preferred", () -> elect(ElectionType.PREFERRED, Set.of(ONE)));
        a.say("elect.unclean", () -> elect(ElectionType.UNCLEAN, Set.of(ONE)));
        // Of several brokers a slow one may have lost its leaderships.
        if (a.alone) a.say("elect.all", () -> elect(ElectionType.PREFERRED, null));
        a.say("elect.unknown", () -> elect(ElectionType.PREFERRED, Set.of(UNKNOWN, new TopicPartition("k.one", 9))));
    }

    private Object move(TopicPartition p, Optional<NewPartitionReassignment> to) throws Exception {
        Asked.get(a.admin.alterPartitionReassignments(Map.of(p, to)).all());
        return "";
    }

    private static Optional<NewPartitionReassignment> to(Integer... replicas) { return Optional.of(new NewPartitionReassignment(List.of(replicas))); }

    private void moves() {
        a.say("move.same", () -> move(ONE, to(a.node)));
        a.say("move.unknown-broker", () -> move(ONE, to(99)));
        a.say("move.twice-the-same", () -> move(ONE, to(a.node, a.node)));
        a.say("move.unknown-topic", () -> move(UNKNOWN, to(a.node)));
        a.say("move.unknown-partition", () -> move(new TopicPartition("k.one", 9), to(a.node)));
        a.say("move.cancel-none", () -> move(ONE, Optional.empty()));
        a.say("move.list", () -> Asked.get(a.admin.listPartitionReassignments().reassignments()));
        a.say("move.list.unknown", () -> Asked.get(a.admin.listPartitionReassignments(Set.of(UNKNOWN)).reassignments()));
    }

    /** What Kafka answers about things that a broker may lack. */
    private void others() {
        a.say("other.acls", () -> Asked.get(a.admin.describeAcls(AclBindingFilter.ANY).values()));
        a.say("other.quotas", () -> Asked.get(a.admin.describeClientQuotas(ClientQuotaFilter.all()).entities()));
        a.say("other.scram", () -> Asked.get(a.admin.describeUserScramCredentials().all()));
        a.say("other.tokens", () -> Asked.get(a.admin.describeDelegationToken().delegationTokens()));
        a.say("other.transactions", () -> new ArrayList<>(Asked.get(a.admin.listTransactions().all())).size());
        a.say("other.fence", () -> Asked.get(a.admin.fenceProducers(List.of("k.fenced")).all()));
        a.say("other.move-log-dir", () -> Asked.get(a.admin.alterReplicaLogDirs(Map.of(new TopicPartitionReplica("k.one", 0, a.node), "/nowhere")).all()));
        a.say("other.share-group", () -> Asked.get(a.admin.describeShareGroups(List.of("k.share")).all()));
        a.say("other.instance", () -> Asked.get(java.util.concurrent.CompletableFuture.completedFuture(a.admin.clientInstanceId(java.time.Duration.ofSeconds(2)) != null)));
    }
}
