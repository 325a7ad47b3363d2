import { createInterface } from 'node:readline';
import { loadManifestReader, type PodUid } from '../../agent/api/index.js';
import type { Agent } from '../../agent/agent.js';
import { errorText } from '../../base/errors.js';
import type { AgentCommand, AgentLine, ExecResult, NodeAnswer } from './agent-lines.js';

export interface CommandWorld {
  tell(line: AgentLine): void;
  dieAt(point: string): void;
}

/** Does what the lines on standard input ask, beside each other; ends with the signal. */
export function serveCommands(agent: Agent, world: CommandWorld, signal: AbortSignal): void {
  const lines = createInterface({ input: process.stdin });
  signal.addEventListener('abort', () => lines.close(), { once: true });
  lines.on('line', (text) => {
    const { id, command } = JSON.parse(text) as { id: number; command: AgentCommand };
    const done = command.do === 'die-at' ? Promise.resolve(world.dieAt(command.point)) : obey(agent, command, signal);
    done.then(
      (value) => world.tell({ kind: 'reply', id, value }),
      (err: unknown) => world.tell({ kind: 'reply', id, error: errorText(err) }),
    );
  });
}

async function obey(
  agent: Agent,
  command: Exclude<AgentCommand, { do: 'die-at' }>,
  signal: AbortSignal,
): Promise<unknown> {
  switch (command.do) {
    case 'apply':
      return apply(agent, command.manifest, command.raw ?? false);
    case 'delete': {
      const { kind, namespace, name, graceSeconds } = command;
      return agent.local?.delete({ kind, namespace, name }, graceSeconds);
    }
    case 'exec':
      return exec(agent, command.containerId, command.command, signal);
    case 'retry':
      return agent.retryNow(command.uid as PodUid);
    case 'health':
      return agent.runtimeHealth;
    case 'node': {
      const { capacity, allocatable, conditions } = agent;
      return { capacity, allocatable, conditions } satisfies NodeAnswer;
    }
    case 'import': {
      const { path, reference } = command;
      return (await agent.imageStore?.importArchive(path, { reference }, signal))?.length;
    }
    case 'manifests':
      return agent.manifests();
  }
}

async function apply(agent: Agent, manifest: string, raw: boolean): Promise<void> {
  const reader = await loadManifestReader();
  for (const { object, written, problems } of reader.readText(manifest)) {
    const usable = object ?? (raw ? written : undefined);
    if (!usable) throw new Error(problems.map((problem) => `${problem.path}: ${problem.message}`).join('; '));
    await agent.local?.apply(usable);
  }
}

async function exec(
  agent: Agent,
  containerId: string,
  cmd: readonly string[],
  signal: AbortSignal,
): Promise<ExecResult> {
  const id = containerId.replace(/^.*:\/\//, '');
  const result = await agent.runtime.runtime.execSync({ containerId: id, cmd: [...cmd], timeout: 20 }, signal);
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('utf8');
  return { code: result.exitCode ?? 0, stdout: text(result.stdout), stderr: text(result.stderr) };
}
