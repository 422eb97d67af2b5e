"""A real Apache Kafka without Docker: single-node KRaft on Java 17, its jars resolved by Maven."""
