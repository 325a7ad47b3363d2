import { readFile } from 'node:fs/promises';
import { checkText } from '../../contract/check-text.js';
import { criError } from '../../contract/cri-error.js';
import type { TerminalSize } from '../../contract/streaming-service.js';
import type { RuntimeContext } from '../context.js';
import type { OciProcess, OciSpec } from '../oci-spec/oci-types.js';
import type { ContainerEntry } from '../state/container-entry.js';
import { refresh } from '../containers/container-status.js';

/** The container's own process with another command: user, environment, capabilities and limits stay. */
export async function execProcess(
  context: RuntimeContext,
  entry: ContainerEntry,
  command: readonly string[],
  terminal: { readonly size: TerminalSize | undefined } | undefined,
): Promise<OciProcess> {
  const { name } = entry.record.metadata;
  if (command.length === 0) throw criError('invalid-argument', `exec in container ${name}: no command`);
  checkText(`exec in container ${name}`, 'the command', command);
  refresh(context, entry, true);
  if (entry.phase.kind !== 'running') {
    throw criError('failed-precondition', `exec in container ${name}: it is ${entry.phase.kind}, not running`);
  }
  const spec = JSON.parse(await readFile(`${context.layout.bundle(entry.id)}/config.json`, 'utf8')) as OciSpec;
  const { process } = spec;
  const size = terminal?.size;
  const hasTerm = process.env.some((entry) => entry.startsWith('TERM='));
  return {
    ...process,
    args: command,
    terminal: terminal !== undefined,
    consoleSize: size === undefined ? undefined : { height: size.rows, width: size.columns },
    env: terminal !== undefined && !hasTerm ? [...process.env, 'TERM=xterm'] : process.env,
  };
}
