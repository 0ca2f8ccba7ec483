# What each target is usually given, for the fuzzer to begin with; run.sh reads this.

# A length and a start-up message, or a request.
startup='\x00\x00\x00\x40\x00\x03\x00\x00'
seed postgres_startup startup "${startup}user\x00root\x00database\x00payments\x00\x00"
seed postgres_startup options "${startup}user\x00ada\x00options\x00-c search_path=a\\\\\\\\ b\x00application_name\x00psql\x00\x00"
seed postgres_startup read-only "${startup}user\x00ada\x00default_transaction_read_only\x00off\x00\x00"
seed postgres_startup tls '\x00\x00\x00\x08\x04\xd2\x16\x2f'
seed postgres_startup gss '\x00\x00\x00\x08\x04\xd2\x16\x30'
seed postgres_startup cancel '\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x07\x01\x02\x03\x04'
seed postgres_startup direct-tls '\x16\x03\x01\x02\x00\x01\x00\x01'

# Two cuts, after four bytes and ten more; then AuthenticationOk, ParameterStatus, BackendKeyData, ReadyForQuery.
seed postgres_greeting ready '\x02\x03\x09R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x09a\x00on\x00K\x00\x00\x00\x0c\x00\x00\x10\x02abcdZ\x00\x00\x00\x05I'
seed postgres_greeting error '\x01\x06E\x00\x00\x00\x0cSFATAL\x00\x00'

# `g`: HandshakeV10 of a MySQL 8.
seed mysql_startup greeting 'g\x0a8.0.40\x00\x07\x00\x00\x00saltsalt\x00\xff\xff\xff\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00saltsaltsalt\x00caching_sha2_password\x00'
# `r`: HandshakeResponse41 with a database, a plug-in and attributes; then one of an old client.
fixed='\x00\x00\x00\x01\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
seed mysql_startup response "r\x08\x82\x38\x00${fixed}root\x00\x02abpayments\x00mysql_native_password\x00\x12\x0cprogram_name\x04exec"
seed mysql_startup ada "r\x08\x82\x38\x00${fixed}ada\x00\x02ab\x00\x00\x00"
seed mysql_startup old "r\x08\x02\x00\x00${fixed}root\x00ab\x00payments"
# `t`: one that came over TLS, and says so.
seed mysql_startup tls "t\x08\x8a\x38\x00${fixed}root\x00\x02abpayments\x00mysql_native_password\x00\x12\x0cprogram_name\x04exec"
# Two packets, cut in the middle of the first's length.
seed mysql_startup packets 'p\x01\x01\x03\x00\x00\x00abc\x01\x00\x00\x01\xffrest'

seed entity typed 'Resource:Default/Payments-Staging'
seed entity short 'payments-staging'
seed entity namespaced 'team/payments'
seed entity json '{"kind":"Resource","metadata":{"name":"p","namespace":"n","annotations":{"a/b":5432,"c":"d"},"labels":{},"tags":["t"],"links":[{"url":"u"}]},"spec":{"type":"database"},"relations":[{"type":"ownedBy","targetRef":"group:default/team"}]}'

seed instance_name connection-name 'acme:europe-west1:payments'
seed instance_name scoped 'example.com:acme:europe-west1:payments'
seed instance_name old 'acme:payments'
seed instance_name dns-name '1a2b.2imj.europe-west1.sql.goog.'
seed instance_name domain-name 'db.Acme.example'

# `m`: the message alone. Then whole ones, cut in the signature and in the length.
seed metadata_exchange message 'm\x08\x02\x12\x04nope'
seed metadata_exchange framed 'f\x02\x03\x05CSQLMDEX\x00\x00\x00\x02\x08\x01R\x00\x00\x00\x08\x00\x00\x00\x00'
seed metadata_exchange none 'f\x01\x02R\x00\x00\x00\x08\x00\x00\x00\x00'

# `n`: names, one a line. `x`: a SAN extension. `c`: changes of the instance's certificate. `p`: CAs.
seed certificate common-name 'nacme:payments\n\nother.example'
seed certificate dns-name 'nacme:orders\n\n1A2B.2imj.europe-west1.sql.goog.\n*.acme.example'
seed certificate two-names 'nacme:payments\nacme:orders'
seed certificate extension 'x\x30\x11\x82\x0fdb.acme.example'
seed certificate changes 'c\x00\x50\x01\x00\x50\xff'
seed certificate authority 'p@-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
