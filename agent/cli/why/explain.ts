import type { Event, Pod } from '../../api/index.js';
import type { CurrentWait } from '../../podloop/steps.js';
import type { RecordedCall } from '../../recorder/recorded-call.js';
import type { PodExplanation, PodView } from '../../serving/node-api/index.js';
import { ageOf } from '../output/age.js';
import { podState } from '../output/pod-table.js';
import { oneLine } from '../output/table.js';
import { durationText } from '../output/call-text.js';
import { hintFor, rejectionHint } from './hints.js';
import { progressOf } from './progress.js';

const marks = { done: '✓', now: '▶', failed: '✗', later: '·' } as const;

/** Why a pod is as it is, as a chain: what it should be, how far it got, what it waits for, who said what, what would help. */
export function explain(namespace: string, name: string, about: PodExplanation): string {
  const { view, now } = about;
  if (!view) return explainAbsence(namespace, name, about);
  const parts = [headline(view), ...sourceLines(view), '', 'How far it got:', ...progressLines(view.pod, now)];
  const hints: string[] = [];
  if (view.waits.length > 0) {
    parts.push('', 'What it waits for:');
    for (const wait of view.waits) {
      parts.push(...waitLines(wait, view, now));
      const hint = hintFor({ wait, pod: name, namespace });
      if (hint !== undefined && !hints.includes(hint)) hints.push(hint);
    }
  }
  const { phase, reason = '' } = view.pod.status ?? {};
  const rejection = phase === 'Failed' ? rejectionHint(reason, name, namespace) : undefined;
  if (rejection !== undefined) hints.push(rejection);
  if (!about.runtime.ready) parts.push('', `The container runtime is not ready: ${about.runtime.message}`);
  else if (!about.network.ready) parts.push('', `The network of the node is not ready: ${about.network.message}`);
  parts.push(...clusterLines(about));
  const troubled = view.waits.length > 0 || view.ending !== undefined;
  if (troubled) parts.push(...callLines(about.calls, now));
  parts.push(...eventLines(about.events, now, troubled));
  if (hints.length > 0) parts.push('', 'What would help:', ...hints.map((hint) => `  → ${hint}`));
  return `${parts.join('\n')}\n`;
}

/** The pod runs on without the cluster; what the cluster shows of it may be old. */
function clusterLines({ cluster = [] }: PodExplanation): string[] {
  if (cluster.length === 0) return [];
  return ['', 'Between this node and its cluster:', ...cluster.map((each) => `  ${oneLine(each, 400)}`)];
}

function headline({ pod, waits, ending }: PodView): string {
  const { name = '', namespace = 'default' } = pod.metadata ?? {};
  const state = podState(ending !== undefined && ending.cause !== 'rejected', pod.status, pod.spec?.initContainers);
  const isReady = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  const verdict =
    waits.length === 0 && isReady
      ? 'it is as it should be'
      : waits.length === 0
        ? 'it waits for nothing'
        : 'it is not there yet';
  return `Pod ${namespace}/${name} is ${state}${ending ? '' : `: ${verdict}`}`;
}

function sourceLines({ pod, source, manifest, ending }: PodView): string[] {
  const { spec } = pod;
  const count = (number: number, what: string): string[] =>
    number === 0 ? [] : [`${number} ${what}${number === 1 ? '' : 's'}`];
  const inits = spec?.initContainers ?? [];
  const parts = [
    ...count(inits.filter(({ restartPolicy }) => restartPolicy !== 'Always').length, 'init container'),
    ...count(inits.filter(({ restartPolicy }) => restartPolicy === 'Always').length, 'sidecar'),
    ...count(spec?.containers.length ?? 0, 'container'),
  ];
  const from =
    manifest ??
    { file: 'a manifest', http: 'the manifest URL', api: 'berth apply' }[source ?? ''] ??
    'an earlier run of the agent';
  const lines = [`  from ${from}: ${parts.join(', ')}, restart policy ${spec?.restartPolicy ?? 'Always'}`];
  if (ending && ending.cause !== 'rejected')
    lines.push(
      `  must end: ${ending.cause}, ${ending.graceSeconds} s of grace, asked ${new Date(ending.since).toISOString()}`,
    );
  return lines;
}

function progressLines(pod: Pod, now: number): string[] {
  return progressOf(pod).map(
    ({ mark, text, at }) => `  ${marks[mark]} ${text}${at === undefined ? '' : `  (${ageOf(now - at)} ago)`}`,
  );
}

function waitLines(wait: CurrentWait, { progress }: PodView, now: number): string[] {
  const whose =
    wait.container !== undefined && !wait.object.includes(wait.container) ? ` for container ${wait.container}` : '';
  const tries = wait.attempt > 1 ? `, try ${wait.attempt}` : '';
  const lines = [
    `  ${stepWords[wait.step] ?? wait.step}: ${wait.object}${whose}, since ${ageOf(now - wait.since)}${tries}`,
  ];
  const pulled = wait.step === 'ensure-image' && wait.container !== undefined ? progress[wait.container] : undefined;
  if (pulled !== undefined && !wait.lastError) lines.push(`    ${pulled}`);
  if (wait.lastError) lines.push(...indented(`${wait.lastError.reason}: ${wait.lastError.message}`, 4));
  if (wait.cause) lines.push(...indented(`${wait.cause.reason}: ${wait.cause.message}`, 4));
  if (wait.nextTry !== undefined)
    lines.push(wait.nextTry <= now ? '    tried again now' : `    tried again in ${ageOf(wait.nextTry - now + 999)}`);
  return lines;
}

const stepWords: Readonly<Partial<Record<CurrentWait['step'], string>>> = {
  'prepare-pod': 'preparing folders and cgroup',
  'mount-volumes': 'mounting volumes',
  'create-sandbox': 'making the sandbox and its network',
  'ensure-image': 'getting the image',
  'start-container': 'starting',
  'pre-stop': 'running its preStop hook',
  'kill-container': 'stopping',
  'stop-sandbox': 'stopping the sandbox',
  'remove-container': 'removing',
  'remove-sandbox': 'removing the sandbox',
  'unmount-volumes': 'unmounting volumes',
  'release-pod': 'giving back folders and cgroup',
  runtime: 'the container runtime',
  'resize-pod': 'giving it other resources',
  'pin-containers': 'giving it CPUs of its own',
  devices: 'a device',
  resize: 'the resources it asks for now',
  network: 'the network of the node',
  'restart-back-off': 'the next restart',
  'init-container': 'an init container',
  'startup-probe': 'the startup probe',
  'readiness-probe': 'the readiness probe',
  'readiness-gate': 'a readiness gate',
  'turn-to-stop': 'its turn to stop',
  sources: 'all sources of pods to answer',
};

function callLines(calls: readonly RecordedCall[], now: number): string[] {
  const telling =
    calls.findLast(({ outcome }) => outcome === undefined) ??
    calls.findLast(({ outcome }) => outcome?.error !== undefined);
  if (!telling) return [];
  const { call, outcome, startedAt } = telling;
  const ofStorage = call.interface === 'csi' || call.interface === 'flexvolume';
  const about = ofStorage && call.subject.object !== undefined ? ` for volume ${call.subject.object}` : '';
  const lines = ['', outcome ? 'The last call that failed:' : 'A call under way:'];
  lines.push(
    `  ${call.interface} ${call.plugin} ${call.verb}${about}, ${ageOf(now - startedAt)} ago, ${outcome ? 'took' : 'runs for'} ${durationText(telling, now)}  (berth trace --verbose shows all of it as #${telling.id})`,
  );
  if (call.request !== undefined) lines.push(`    asked: ${oneLine(JSON.stringify(call.request), 300)}`);
  if (outcome?.error) lines.push(...indented(`${outcome.error.code}: ${outcome.error.message}`, 4));
  return lines;
}

function eventLines(events: readonly Event[], now: number, troubled: boolean): string[] {
  const shown = events.slice(troubled ? -8 : -4);
  if (shown.length === 0) return [];
  return [
    '',
    'What happened last:',
    ...shown.map(({ lastTimestamp, type, reason, message = '', count = 1 }) => {
      const age = ageOf(now - Date.parse(lastTimestamp ?? ''));
      return `  ${age.padStart(6)} ago  ${type === 'Warning' ? '!' : ' '} ${reason}: ${oneLine(message, 160)}${count > 1 ? ` (${count} times)` : ''}`;
    }),
  ];
}

/** No such pod: the manifests may say why. */
function explainAbsence(namespace: string, name: string, about: PodExplanation): string {
  const { manifests, sourcesSynced, events, now } = about;
  const parts = [`There is no pod ${namespace}/${name} on this node.`];
  if (!sourcesSynced) parts.push('  Not every source of pods has answered yet.');
  parts.push(...clusterLines(about));
  for (const { file, problems } of manifests) {
    parts.push('', `${file} cannot be used as it is:`);
    for (const { line, column, path, message, object } of problems) {
      const place = [line, column].filter((part) => part !== undefined).join(':');
      parts.push(`  ${[place, object, path, message].filter((part) => part !== undefined && part !== '').join(': ')}`);
    }
  }
  if (manifests.length > 0)
    parts.push('', 'What would help:', '  → correct the manifest; the agent sees the change by itself');
  else parts.push('  No manifest names it. berth get pods -A lists all pods; berth apply -f FILE makes one.');
  return `${[...parts, ...eventLines(events, now, true)].join('\n')}\n`;
}

function indented(text: string, by: number): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `${' '.repeat(by)}${line}`);
}
