package config

// sslKeys are about TLS, which comes later. Stores and their passwords do nothing by themselves and are let through; what decides who may
// connect is refused, here or with the listeners.
func sslKeys() []Key {
	keys := []Key{
		text("ssl.client.auth", "none", "Whether TLS clients must show a certificate.").perBroker().with(oneOf("required", "requested", "none")),
		list("ssl.cipher.suites", "", "Cipher suites that are offered.").perBroker(),
		list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3", "TLS versions that are offered.").perBroker(),
		text("ssl.protocol", "TLSv1.3", "The preferred TLS version.").perBroker(),
		text("ssl.provider", null, "The JVM's security provider.").perBroker(),
		text("ssl.endpoint.identification.algorithm", "https", "How a peer's host name is checked.").perBroker(),
		class("ssl.engine.factory.class", null, "A class that makes TLS engines.").perBroker(),
		text("ssl.keymanager.algorithm", "SunX509", "The JVM's key manager.").perBroker(),
		text("ssl.trustmanager.algorithm", "PKIX", "The JVM's trust manager.").perBroker(),
		text("ssl.keystore.type", "JKS", "Format of the key store.").perBroker(),
		text("ssl.keystore.location", null, "File of the key store.").perBroker(),
		password("ssl.keystore.password", "Its password.").perBroker(),
		password("ssl.keystore.key", "The private key itself, in PEM.").perBroker(),
		password("ssl.keystore.certificate.chain", "The certificates themselves, in PEM.").perBroker(),
		password("ssl.key.password", "Password of the private key.").perBroker(),
		text("ssl.truststore.type", "JKS", "Format of the trust store.").perBroker(),
		text("ssl.truststore.location", null, "File of the trust store.").perBroker(),
		password("ssl.truststore.password", "Its password.").perBroker(),
		password("ssl.truststore.certificates", "The trusted certificates themselves, in PEM.").perBroker(),
		text("ssl.secure.random.implementation", null, "The JVM's random number generator.").perBroker(),
		text("ssl.principal.mapping.rules", "DEFAULT", "How a certificate's name becomes a user."),
		boolean("ssl.allow.dn.changes", "false", "Let a new key store carry another name."),
		boolean("ssl.allow.san.changes", "false", "Let a new key store carry other host names."),
		text("security.providers", null, "Classes that provide security algorithms."),
	}
	for i := range keys {
		keys[i] = keys[i].ignored(noTLS)
	}
	return keys
}

// saslKeys are about SASL, delegation tokens and authorization, which come later.
func saslKeys() []Key {
	const open = "this version cannot check who connects; ignoring it would let everybody in"
	guards := []Key{
		list("sasl.enabled.mechanisms", "GSSAPI", "SASL mechanisms that are offered. Not possible in this version.").perBroker().onlyDefault(open, ""),
		text("authorizer.class.name", "", "The class that decides who may do what. Not possible in this version.").
			onlyDefault("this version cannot decide who may do what; ignoring it would let everybody do everything", ""),
		class("principal.builder.class", "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
			"The class that names the user of a connection. Not possible in this version.").perBroker().
			onlyDefault(open, "", "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
		class("sasl.server.callback.handler.class", null, "A class that checks credentials. Not possible in this version.").onlyDefault(open, ""),
	}
	rest := []Key{
		text("sasl.mechanism.inter.broker.protocol", "GSSAPI", "Mechanism between brokers.").perBroker(),
		text("sasl.mechanism.controller.protocol", "GSSAPI", "Mechanism between controllers."),
		password("sasl.jaas.config", "JAAS configuration.").perBroker(),
		class("sasl.client.callback.handler.class", null, "A class that provides credentials."),
		class("sasl.login.callback.handler.class", null, "A class that provides login credentials."),
		class("sasl.login.class", null, "A class that logs in."),
		integer("sasl.server.max.receive.size", "524288", "The largest message before a client has authenticated."),
		text("sasl.kerberos.service.name", null, "Kerberos service.").perBroker(),
		text("sasl.kerberos.kinit.cmd", "/usr/bin/kinit", "The kinit program.").perBroker(),
		double("sasl.kerberos.ticket.renew.window.factor", "0.8", "When a Kerberos ticket is renewed.").perBroker(),
		double("sasl.kerberos.ticket.renew.jitter", "0.05", "Randomness of that.").perBroker(),
		long("sasl.kerberos.min.time.before.relogin", "60000", "Pause between two logins.").perBroker(),
		list("sasl.kerberos.principal.to.local.rules", "DEFAULT", "How a Kerberos principal becomes a user.").perBroker(),
		double("sasl.login.refresh.window.factor", "0.8", "When a login is refreshed.").perBroker(),
		double("sasl.login.refresh.window.jitter", "0.05", "Randomness of that.").perBroker(),
		short("sasl.login.refresh.min.period.seconds", "60", "The shortest time between two refreshes.").perBroker(),
		short("sasl.login.refresh.buffer.seconds", "300", "Time left before a credential ends.").perBroker(),
		integer("sasl.login.connect.timeout.ms", null, "How long a login provider may take to connect."),
		integer("sasl.login.read.timeout.ms", null, "How long a login provider may take to answer."),
		long("sasl.login.retry.backoff.ms", "100", "Pause after a failed login."),
		long("sasl.login.retry.backoff.max.ms", "10000", "The longest such pause."),
		long("connections.max.reauth.ms", "0", "Clients must authenticate again after this time (KIP-368)."),
		integer("connection.failed.authentication.delay.ms", "100", "How long a connection stays after a failed authentication.").with(atLeast(0)),
		password("delegation.token.secret.key", "Key of delegation tokens (KIP-48)."),
		long("delegation.token.max.lifetime.ms", "604800000", "The longest life of a delegation token.").with(atLeast(1)),
		long("delegation.token.expiry.time.ms", "86400000", "Its life without renewal.").with(atLeast(1)),
		long("delegation.token.expiry.check.interval.ms", "3600000", "How often is looked for expired ones.").with(atLeast(1)),
	}
	rest = append(rest, oauthKeys()...)
	for i := range rest {
		rest[i] = rest[i].ignored(noSASL)
	}
	return append(guards, rest...)
}

// oauthKeys are SASL/OAUTHBEARER's (KIP-768, KIP-1139, KIP-1258).
func oauthKeys() []Key {
	const p = "sasl.oauthbearer."
	return []Key{
		text(p+"token.endpoint.url", null, "Where tokens are issued."),
		text(p+"scope", null, "Scope of tokens that are asked for."),
		text(p+"scope.claim.name", "scope", "The claim that holds the scope."),
		text(p+"sub.claim.name", "sub", "The claim that holds the user."),
		list(p+"expected.audience", "", "Audiences that are accepted."),
		text(p+"expected.issuer", null, "The issuer that is accepted."),
		integer(p+"clock.skew.seconds", "30", "How far clocks may differ."),
		text(p+"jwks.endpoint.url", null, "Where the issuer's keys are."),
		long(p+"jwks.endpoint.refresh.ms", "3600000", "How often they are read again."),
		long(p+"jwks.endpoint.retry.backoff.ms", "100", "Pause after a failure."),
		long(p+"jwks.endpoint.retry.backoff.max.ms", "10000", "The longest such pause."),
		class(p+"jwt.retriever.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", "The class that gets tokens."),
		class(p+"jwt.validator.class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", "The class that checks tokens."),
		text(p+"client.credentials.client.id", null, "Client id of the client credentials grant."),
		password(p+"client.credentials.client.secret", "Its secret."),
		text(p+"assertion.algorithm", "RS256", "Algorithm of assertions.").with(oneOfAnyCase("ES256", "RS256")),
		text(p+"assertion.claim.aud", null, "Audience of assertions."),
		integer(p+"assertion.claim.exp.seconds", "300", "Their life.").with(between(0, 86400)),
		text(p+"assertion.claim.iss", null, "Their issuer."),
		boolean(p+"assertion.claim.jti.include", "false", "Whether they carry an id."),
		integer(p+"assertion.claim.nbf.seconds", "60", "From when they count.").with(between(0, 3600)),
		text(p+"assertion.claim.sub", null, "Their subject."),
		text(p+"assertion.file", null, "A file that holds an assertion."),
		text(p+"assertion.private.key.file", null, "The key that signs them."),
		password(p+"assertion.private.key.passphrase", "Its passphrase."),
		text(p+"assertion.template.file", null, "A template of assertions."),
	}
}
