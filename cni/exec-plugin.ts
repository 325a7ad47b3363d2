import type { CallRecorder, CallSubject } from '../base/call-recorder.js';
import { errorText } from '../base/errors.js';
import { describeEnd, type ProgramResult, type RunProgram } from '../base/run-program.js';
import { CniError, type CniVerb } from './failure.js';
import { isObject, type JsonObject } from './json.js';

export interface PluginExec {
  readonly verb: CniVerb;
  readonly plugin: string;
  /** The program's file. */
  readonly path: string;
  readonly config: JsonObject;
  /** `CNI_*` without `CNI_COMMAND`. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly subject: CallSubject;
}

export interface PluginExecDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
}

/** More than any answer; a plugin that prints on and on is stopped here. */
const maxOutputBytes = 1024 * 1024;

/**
 * Calls one plugin once. Returns what it printed as JSON, undefined when it printed nothing. Rejects with a `CniError` that
 * carries the plugin's words, or with the signal's reason once the program is gone.
 */
export async function execPlugin(call: PluginExec, deps: PluginExecDeps, signal: AbortSignal): Promise<unknown> {
  const { verb, plugin, path, config, env, subject } = call;
  const end = deps.recorder.begin({ interface: 'cni', plugin, verb, subject, request: { env, config } });
  try {
    const result = await deps.run(
      {
        argv: [path],
        env: { ...env, CNI_COMMAND: verb },
        stdin: JSON.stringify(config),
        timeoutMs: call.timeoutMs,
        maxOutputBytes,
      },
      signal,
    );
    const response = readAnswer(call, result);
    end({ response });
    return response;
  } catch (err) {
    const code = err instanceof CniError ? err.failure.code : 'aborted';
    end({ error: { code, message: errorText(err) } });
    throw err;
  }
}

function readAnswer(call: PluginExec, result: ProgramResult): unknown {
  const { verb, plugin } = call;
  const { end } = result;
  const subject = `${verb} ${plugin}`;
  switch (end.kind) {
    case 'exited':
      if (end.code !== 0) throw refusal(call, result, end.code);
      return readOutput(call, result);
    case 'signalled':
    case 'output-too-large':
      throw new CniError(`${subject}: ${describeEnd(result)}`, { code: 'crashed', plugin, verb, exitCode: null });
    case 'timed-out':
      throw new CniError(`${subject}: ${describeEnd(result)}`, {
        code: 'timed-out',
        plugin,
        verb,
        afterMs: end.afterMs,
      });
    case 'not-started':
      throw new CniError(`${subject}: ${describeEnd(result)}`, { code: 'not-started', plugin, errno: end.errno });
  }
}

/** Only ADD and VERSION have an answer; whatever else is printed on success is of no interest. */
function readOutput({ verb, plugin }: PluginExec, result: ProgramResult): unknown {
  if (verb !== 'ADD' && verb !== 'VERSION') return undefined;
  const text = result.stdout.toString('utf8').trim();
  const garbled = (reason: string, cause?: unknown): CniError => {
    const stderr = result.stderr.trim();
    const words = stderr === '' ? '' : `; it also said: ${excerpt(stderr)}`;
    return new CniError(`${verb} ${plugin}: ${reason}${words}`, { code: 'garbled', plugin, verb }, { cause });
  };
  if (text === '') throw garbled('succeeded without an answer');
  try {
    return JSON.parse(text) as unknown;
  } catch (err) {
    throw garbled(`the answer is not JSON: ${excerpt(text)}`, err);
  }
}

/** A failed exit with the protocol's error object is a refusal in the plugin's words; anything else is a crash. */
function refusal({ verb, plugin, config }: PluginExec, result: ProgramResult, exitCode: number): CniError {
  const answer = parseError(result.stdout.toString('utf8'));
  if (answer === undefined) {
    return new CniError(`${verb} ${plugin}: ${describeEnd(result)}`, { code: 'crashed', plugin, verb, exitCode });
  }
  const { cniCode, msg, details } = answer;
  const words = [msg, details].filter((part) => part !== '').join('; ');
  const message = `${verb} ${plugin}: ${words === '' ? 'refused without a reason' : words} (code ${cniCode})`;
  if (cniCode === 1) {
    const wanted = [String(config['cniVersion'])];
    return new CniError(message, { code: 'unsupported-version', plugin, wanted, supported: [] });
  }
  if (verb === 'STATUS' && (cniCode === 50 || cniCode === 51)) {
    return new CniError(message, { code: 'not-ready', plugin, limited: cniCode === 51 });
  }
  return new CniError(message, { code: 'refused', plugin, verb, cniCode, msg, details });
}

function parseError(text: string): { cniCode: number; msg: string; details: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || (!('code' in value) && !('msg' in value))) return undefined;
  const { code, msg, details } = value;
  return {
    cniCode: typeof code === 'number' ? code : 0,
    msg: typeof msg === 'string' ? msg : '',
    details: typeof details === 'string' ? details : '',
  };
}

function excerpt(text: string): string {
  return text.length > 500 ? `${text.slice(0, 500)}... (${text.length} characters)` : text;
}
