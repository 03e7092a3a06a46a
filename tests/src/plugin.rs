//! Plugins for tests. Each language has an action that returns its input, and a receiver that appends what it gets to
//! `received.jsonl` in the folder of the instance.

/// `actions/NAME.js`: returns its input, in the style of the original.
pub const ECHO_JS: &str =
    "module.exports = (Coattail) => class extends Coattail.Action { async perform(input) { return input; } };\n";

/// `actions/NAME.py`: returns its input.
pub const ECHO_PY: &str = "import coattail\n\n@coattail.action\ndef echo(input):\n    return input\n";

/// `actions/NAME.sh`: returns its input.
pub const ECHO_SH: &str = "#!/bin/sh\ncat\n";

/// `receivers/NAME.sh`: keeps what it gets.
pub const KEEP_SH: &str = "#!/bin/sh\ncat >> \"$COATTAIL_INSTANCE/received.jsonl\"\n";

/// `receivers/NAME.js`: keeps what it gets, in the style of the original.
pub const KEEP_JS: &str = "const fs = require('fs');\nconst path = require('path');\n\
    module.exports = (Coattail) => class extends Coattail.Receiver {\n\
    async onReceived(input) { fs.appendFileSync(path.join(__dirname, '..', 'received.jsonl'), JSON.stringify(input) + '\\n'); }\n};\n";

/// `receivers/NAME.py`: keeps what it gets.
pub const KEEP_PY: &str = "import json\nimport coattail\n\n@coattail.receiver\ndef keep(data, context):\n    \
    with open(context.instance / 'received.jsonl', 'a', encoding='utf-8') as file:\n        file.write(json.dumps(data) + '\\n')\n";

/// `receivers/NAME.js`: keeps what it gets with its place in the log, as `{"sequence": …, "value": …}`.
pub const RECORD_JS: &str = "const fs = require('fs');\nconst { receiver } = require('coattail');\n\
    module.exports = receiver(async (value, context) => {\n\
    const line = JSON.stringify({ sequence: context.publication.sequence, value });\n\
    fs.appendFileSync(`${process.env.COATTAIL_INSTANCE}/received.jsonl`, line + '\\n');\n});\n";

/// `receivers/NAME.sh`: as [`RECORD_JS`], and it keeps how often it was tried, as `"attempt"`.
pub const RECORD_SH: &str = "#!/bin/sh\nvalue=$(cat)\nprintf '{\"sequence\":%s,\"attempt\":%s,\"value\":%s}\\n' \
    \"$COATTAIL_PUBLICATION_SEQUENCE\" \"$COATTAIL_PUBLICATION_ATTEMPT\" \"$value\" >> \"$COATTAIL_INSTANCE/received.jsonl\"\n";
