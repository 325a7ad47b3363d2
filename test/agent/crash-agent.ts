// An agent that ends itself by SIGKILL where it is told to: `node crash-agent.js CONFIG.json`, started by tests from the compiled tree.
// Tells on its standard output which points it passes and what its pods look like.
import { readFileSync, writeSync } from 'node:fs';
import { pino } from 'pino';
import type { AgentConfig } from '../../agent/config/agent-config.js';
import type { AgentPod } from '../../agent/agent.js';
import { openAgent } from '../../agent/open-agent.js';
import { tuneEngine } from '../../agent/tune-engine.js';
import { serveCommands } from './agent-commands.js';
import type { AgentLine } from './agent-lines.js';

interface CrashConfig {
  readonly agent: AgentConfig;
  /** Where to die; absent for never. */
  readonly dieAt?: string | undefined;
  /** Measured: says only when a pod becomes ready or stops being so, and nothing of points and events. */
  readonly quiet?: boolean | undefined;
}

const { agent: config, dieAt, quiet = false } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as CrashConfig;
let lastPoint = dieAt;
const log = pino({ level: quiet ? 'warn' : 'debug', base: null }, pino.destination({ dest: 2, sync: true }));
tuneEngine();
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort(new DOMException('stop', 'AbortError')));

/** Written before anything else happens, even when the next thing is the end. */
const tell = (line: AgentLine): void => void writeSync(1, `${JSON.stringify(line)}\n`);

const isReady = ({ status }: AgentPod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

function podLine(known: AgentPod): AgentLine {
  const { uid, pod, status, waits } = known;
  const containers = status?.containerStatuses ?? [];
  return {
    kind: 'pod',
    uid,
    name: pod?.metadata?.name ?? '',
    phase: status?.phase ?? '',
    ready: isReady(known),
    restarts: containers.reduce((sum, container) => sum + (container.restartCount ?? 0), 0),
    ip: status?.podIP ?? '',
    status: status ?? {},
    waits: waits.map(({ step, object, lastError, cause }) =>
      `${step} ${object}: ${lastError?.message ?? ''} ${cause?.message ?? ''}`.trimEnd(),
    ),
  };
}

const agent = await openAgent(
  config,
  {
    log,
    at: quiet
      ? undefined
      : (name) => {
          tell({ kind: 'at', point: name });
          if (name === lastPoint) process.kill(process.pid, 'SIGKILL');
        },
  },
  stop.signal,
);
const told = new Map<string, boolean>();
const subscription = agent.onPodChange(({ uid }) => {
  const known = agent.pod(uid);
  if (!known) return tell({ kind: 'gone', uid });
  if (quiet && told.get(uid) === isReady(known)) return;
  told.set(uid, isReady(known));
  tell(podLine(known));
});
const eventSubscription = quiet ? undefined : agent.onEvent((event) => tell({ kind: 'event', event }));
serveCommands(agent, { tell, dieAt: (point) => (lastPoint = point) }, stop.signal);
for (const pod of agent.pods()) tell(podLine(pod));
tell({ kind: 'started' });
void agent.tidy.then(() => tell({ kind: 'tidy' }));
await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }));
subscription[Symbol.dispose]();
eventSubscription?.[Symbol.dispose]();
process.stdin.destroy();
await agent[Symbol.asyncDispose]();
