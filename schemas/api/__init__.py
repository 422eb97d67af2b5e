"""The gateway's HTTP API: request bodies and answers, one module per subject.

The gateway answers with these models, clients read them. Changes are additive, and an added field has a default, so
that clients and gateways of different versions understand each other. FastAPI publishes them at `/openapi.json`; they
are not Kafka messages and not in `schemas/published/`.
"""
