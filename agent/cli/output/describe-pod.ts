import type { Container, ContainerState, ContainerStatus, EphemeralContainer, Probe, Volume } from '../../api/index.js';
import type { PodExplanation } from '../../serving/node-api/index.js';
import { eventTable } from './event-table.js';
import { ageOf } from './age.js';
import { podState } from './pod-table.js';
import { probeText } from './probe-text.js';
import { oneLine, renderTable } from './table.js';

/** Label and value, aligned; a value may have further lines. */
type Line = readonly [string, string];

/** A pod in words, in kubectl's order, with what it waits for. */
export function describePod({ view, events, now }: PodExplanation): string {
  if (!view) return '';
  const { pod, waits, source, manifest, ending } = view;
  const { metadata = {}, spec, status } = pod;
  const head: Line[] = [
    ['Name', metadata.name ?? ''],
    ['Namespace', metadata.namespace ?? ''],
    ['UID', metadata.uid ?? ''],
    ['Source', manifest ?? source ?? ''],
    ['Priority', String(spec?.priority ?? 0)],
    ['Node', [spec?.nodeName, status?.hostIP].filter(Boolean).join('/')],
    ['Start Time', status?.startTime ?? ''],
    ['Labels', mapText(metadata.labels)],
    ['Annotations', mapText(metadata.annotations)],
    ['Status', podState(ending !== undefined && ending.cause !== 'rejected', status, spec?.initContainers)],
    ...(status?.reason ? [['Reason', status.reason] as const] : []),
    ...(status?.message ? [['Message', status.message] as const] : []),
    ['IP', status?.podIP ?? ''],
    ['IPs', status?.podIPs?.map(({ ip }) => ip).join(', ') || '<none>'],
    ['QoS Class', status?.qosClass ?? ''],
  ];
  const parts = [lines(head)];
  parts.push(...containersText('Init Containers', spec?.initContainers, status?.initContainerStatuses));
  parts.push(...containersText('Containers', spec?.containers, status?.containerStatuses));
  parts.push(...containersText('Ephemeral Containers', spec?.ephemeralContainers, status?.ephemeralContainerStatuses));
  const conditions = (status?.conditions ?? []).map(({ type, status: met, reason = '', message = '' }) => [
    type,
    met,
    reason,
    oneLine(message),
  ]);
  if (conditions.length > 0)
    parts.push(`Conditions:\n${indent(renderTable(['Type', 'Status', 'Reason', 'Message'], conditions))}`);
  parts.push(...volumesText(spec?.volumes));
  parts.push(
    waits.length === 0
      ? 'Waiting For:  nothing\n'
      : `Waiting For:\n${indent(waits.map(({ step, object, since, attempt, lastError }) => `${object} (${step}, since ${ageOf(now - since)}, try ${attempt})${lastError ? `\n  ${lastError.reason}: ${lastError.message.trim()}` : ''}\n`).join(''))}`,
  );
  const table = eventTable(events, false, now);
  const rows = table.rows.map(([seen = '', type = '', reason = '', , message = '']) => [type, reason, seen, message]);
  parts.push(
    rows.length === 0
      ? 'Events:  <none>\n'
      : `Events:\n${indent(renderTable(['Type', 'Reason', 'Age', 'Message'], rows))}`,
  );
  return parts.join('');
}

function containersText(
  title: string,
  specs: readonly (Container | EphemeralContainer)[] | undefined,
  statuses: readonly ContainerStatus[] | undefined,
): string[] {
  if (!specs?.length) return [];
  const texts = specs.map((spec) => {
    const status = statuses?.find(({ name }) => name === spec.name);
    return `${spec.name}:\n${indent(lines(containerLines(spec, status)))}`;
  });
  return [`${title}:\n${indent(texts.join(''))}`];
}

function containerLines(spec: Container | EphemeralContainer, status: ContainerStatus | undefined): Line[] {
  const probe = (name: string, value: Probe | undefined): Line[] => (value ? [[name, probeText(value)]] : []);
  return [
    ['Container ID', status?.containerID ?? ''],
    ['Image', spec.image ?? ''],
    ['Image ID', status?.imageID ?? ''],
    [
      'Ports',
      spec.ports
        ?.map(
          ({ containerPort, protocol = 'TCP', hostPort }) =>
            `${containerPort}/${protocol}${hostPort ? ` (host port ${hostPort})` : ''}`,
        )
        .join(', ') || '<none>',
    ],
    ...(spec.command ? [['Command', commandText(spec.command)] as const] : []),
    ...(spec.args ? [['Args', commandText(spec.args)] as const] : []),
    ['State', stateText(status?.state)],
    ...(status?.lastState?.terminated ? [['Last State', stateText(status.lastState)] as const] : []),
    ['Ready', status?.ready ? 'True' : 'False'],
    ['Restart Count', String(status?.restartCount ?? 0)],
    ...(spec.resources?.limits ? [['Limits', mapText(spec.resources.limits)] as const] : []),
    ...(spec.resources?.requests ? [['Requests', mapText(spec.resources.requests)] as const] : []),
    ...probe('Liveness', spec.livenessProbe),
    ...probe('Readiness', spec.readinessProbe),
    ...probe('Startup', spec.startupProbe),
    ['Environment', environmentText(spec)],
    [
      'Mounts',
      spec.volumeMounts
        ?.map(
          ({ name, mountPath, readOnly, subPath }) =>
            `${mountPath} from ${name} (${readOnly ? 'ro' : 'rw'}${subPath ? `,path="${subPath}"` : ''})`,
        )
        .join('\n') || '<none>',
    ],
  ];
}

const commandText = (words: readonly string[]): string =>
  words.map((word) => (/[\s"']/.test(word) || word === '' ? JSON.stringify(word) : word)).join(' ');

function stateText(state: ContainerState | undefined): string {
  if (state?.running) return `Running since ${state.running.startedAt ?? '?'}`;
  if (state?.terminated) {
    const { reason = '', exitCode, message, startedAt = '?', finishedAt = '?' } = state.terminated;
    return `Terminated: ${reason}, exit code ${exitCode}, ${startedAt} to ${finishedAt}${message ? `\n${message.trim()}` : ''}`;
  }
  const { reason = '', message = '' } = state?.waiting ?? {};
  return `Waiting: ${[reason, message].filter((part) => part !== '').join(': ')}`;
}

/** Where values come from, not what they are: that may be a secret. */
function environmentText(spec: Container | EphemeralContainer): string {
  const from = (spec.envFrom ?? []).map(({ configMapRef, secretRef, prefix }) => {
    const [kind, name] = configMapRef ? ['ConfigMap', configMapRef.name] : ['Secret', secretRef?.name];
    return `all of ${kind} ${name ?? ''}${prefix ? ` as ${prefix}*` : ''}`;
  });
  const own = (spec.env ?? []).map(({ name, value, valueFrom }) => {
    if (valueFrom?.configMapKeyRef)
      return `${name}: key ${valueFrom.configMapKeyRef.key} of ConfigMap ${valueFrom.configMapKeyRef.name ?? ''}`;
    if (valueFrom?.secretKeyRef)
      return `${name}: key ${valueFrom.secretKeyRef.key} of Secret ${valueFrom.secretKeyRef.name ?? ''}`;
    if (valueFrom?.fieldRef) return `${name}: ${valueFrom.fieldRef.fieldPath}`;
    if (valueFrom?.resourceFieldRef) return `${name}: ${valueFrom.resourceFieldRef.resource}`;
    return `${name}: ${value ?? ''}`;
  });
  return [...from, ...own].join('\n') || '<none>';
}

function volumesText(volumes: readonly Volume[] | undefined): string[] {
  if (!volumes?.length) return [];
  const texts = volumes.map(({ name, ...source }) => {
    const [kind = '?', options] = Object.entries(source).find(([, value]) => value !== undefined) ?? [];
    return `${name}:  ${kind} ${JSON.stringify(options ?? {})}\n`;
  });
  return [`Volumes:\n${indent(texts.join(''))}`];
}

/** Any object as aligned fields; deeper values as JSON. */
export function describeFields(object: Readonly<Record<string, unknown>>): string {
  return lines(
    Object.entries(object)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]): Line => [capital(name), instantText(name, value) ?? fieldText(value)]),
  );
}

/** Instants travel as milliseconds; 0 is never. */
function instantText(name: string, value: unknown): string | undefined {
  if (typeof value !== 'number' || !['startedAt', 'createdAt', 'lastUsed'].includes(name)) return undefined;
  return value === 0 ? '<unknown>' : new Date(value).toISOString();
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(itemText).join('\n') || '<none>';
  if (typeof value === 'object' && value !== null)
    return (
      Object.entries(value)
        .map(([name, item]) => `${name}: ${typeof item === 'string' ? item : JSON.stringify(item)}`)
        .join('\n') || '<none>'
    );
  return String(value);
}

/** `type Ready, status true`: an object of plain values on one line. */
function itemText(item: unknown): string {
  if (typeof item === 'string') return item;
  const isFlat =
    typeof item === 'object' && item !== null && Object.values(item).every((value) => typeof value !== 'object');
  if (!isFlat) return JSON.stringify(item);
  const shown = Object.entries(item).filter(([, value]) => value !== '' && value !== undefined);
  return shown.map(([name, value]) => `${name} ${String(value)}`).join(', ');
}

const capital = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`;

const mapText = (map: Readonly<Record<string, unknown>> | undefined): string =>
  Object.entries(map ?? {})
    .map(([name, value]) => `${name}=${String(value)}`)
    .join('\n') || '<none>';

function lines(pairs: readonly Line[]): string {
  const width = Math.max(0, ...pairs.map(([label]) => label.length)) + 3;
  return pairs
    .map(([label, value]) => {
      const [first = '', ...rest] = value.split('\n');
      return [
        `${`${label}:`.padEnd(width)}${first}`.trimEnd(),
        ...rest.map((line) => `${' '.repeat(width)}${line}`),
      ].join('\n');
    })
    .map((text) => `${text}\n`)
    .join('');
}

const indent = (text: string): string => text.replaceAll(/^(?=.)/gm, '  ');
