"""Names of spans and their attributes: OpenTelemetry's semantic conventions, and our own (`waggle.…`).

Messaging: conventions for messaging spans 1.4x. Models, agents and tools: gen_ai conventions v1.41.
"""

# --- messaging -------------------------------------------------------------------------------------------------------
MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION_TYPE = "messaging.operation.type"
MESSAGING_OPERATION_NAME = "messaging.operation.name"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_PARTITION = "messaging.destination.partition.id"
MESSAGING_GROUP = "messaging.consumer.group.name"
MESSAGING_MESSAGE_ID = "messaging.message.id"
MESSAGING_KAFKA_KEY = "messaging.kafka.message.key"
MESSAGING_KAFKA_OFFSET = "messaging.kafka.offset"

KAFKA = "kafka"
SEND = "send"
PROCESS = "process"

# --- models, agents, tools -------------------------------------------------------------------------------------------
GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_CONVERSATION = "gen_ai.conversation.id"
GEN_AI_WORKFLOW = "gen_ai.workflow.name"
GEN_AI_AGENT = "gen_ai.agent.name"
GEN_AI_AGENT_VERSION = "gen_ai.agent.version"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_TOOL = "gen_ai.tool.name"
GEN_AI_TOOL_TYPE = "gen_ai.tool.type"
GEN_AI_TOOL_CALL_ID = "gen_ai.tool.call.id"

GEN_AI_EVALUATION = "gen_ai.evaluation.name"
GEN_AI_EVALUATION_LABEL = "gen_ai.evaluation.score.label"
GEN_AI_EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_RESULT = "gen_ai.evaluation.result"
"""Event of an assessment: of the model check, or of the evaluator."""

INVOKE_WORKFLOW = "invoke_workflow"
INVOKE_AGENT = "invoke_agent"
CHAT = "chat"
EXECUTE_TOOL = "execute_tool"
EVALUATE = "evaluate"

OPENAI = "openai"
"""Provider name of every endpoint that speaks OpenAI's protocol: the vendor behind it is unknown."""
FUNCTION = "function"

# Contents: on spans only if OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is `true`.
GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
GEN_AI_TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_RESULT = "gen_ai.tool.call.result"

# --- both ------------------------------------------------------------------------------------------------------------
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# --- our own ---------------------------------------------------------------------------------------------------------
RUN = "waggle.run"
TENANT = "waggle.tenant"
STEP = "waggle.step"
TURN = "waggle.turn"
"""Number of the model's turn, from 1."""
AGENT_VERSION = "waggle.agent.version"
PROMPT_VERSION = "waggle.prompt.version"
TOOLS_VERSION = "waggle.tools.version"
HANDOFF = "waggle.handoff"
HOP = "waggle.hop"
HANDED_BY = "waggle.handed_by"
HANDED_TO = "waggle.handed_to"
ATTEMPT = "waggle.attempt"
STATE = "waggle.state"
COST_USD = "waggle.cost_usd"
REPLAYED = "waggle.replayed"
"""On a span: the call was repeated for its effect on the workspace. As an event: a recorded turn was replayed without a
model call."""
TRANSITION = "waggle.transition"
"""Event: a run has changed its state."""
POSTED = "waggle.board.posted"
"""Event: an agent has posted an entry on its run's board."""
RECALLED = "waggle.memory.recalled"
"""Event: an agent was shown memories of earlier runs."""
REDRIVEN_FROM = "waggle.redriven_from"
