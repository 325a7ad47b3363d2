import { kubeVersion } from '../../../config/agent-config.js';
import { berthVersion } from '../../version.js';
import { HttpError } from '../http-error.js';
import { routeTable } from '../route-table.js';
import { sendJson, sendText, type ApiCall, type CallHandler } from './call.js';
import type { ServerResponse } from 'node:http';

const group = 'config.k8s.io';
const versions = ['v1beta1', 'v1alpha1'];
const warning =
  'Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.';

export interface ZPagesDeps {
  /** When the agent started, ms. */
  readonly startedAt: number;
  readonly now: () => number;
}

/** `/statusz`: since when the agent runs and what it is, as text or, where it is asked for, as an object. */
export function statusz({ startedAt, now }: ZPagesDeps): CallHandler {
  return (call, response) => {
    const paths = [...new Set(routeTable.map(({ path }) => path.replace(/\/\{.*$/, '')))].toSorted();
    const up = Math.max(Math.floor((now() - startedAt) / 1000), 0);
    const facts = {
      startTime: `${new Date(startedAt).toISOString().slice(0, 19)}Z`,
      uptimeSeconds: up,
      goVersion: '',
      binaryVersion: `${kubeVersion}.0+berth.${berthVersion}`,
      emulationVersion: kubeVersion,
      paths,
    };
    answer(call, response, 'Statusz', facts, () =>
      [
        `Started: ${new Date(startedAt).toUTCString()}`,
        `Up: ${Math.floor(up / 3600)} hr ${two((up % 3600) / 60)} min ${two(up % 60)} sec`,
        `Node.js version: ${process.versions.node}`,
        `Binary version: ${facts.binaryVersion}`,
        `Emulation version: ${kubeVersion}`,
        `Paths: ${paths.join(' ')}`,
      ].join('\n'),
    );
  };
}

/** `/flagz`: the flags the agent was started with. None of them holds a secret. */
export function flagz(argv: readonly string[]): CallHandler {
  const flags = flagsOf(argv);
  return (call, response) =>
    answer(call, response, 'Flagz', { flags }, () =>
      Object.entries(flags)
        .map(([name, text]) => `${name}=${text}`)
        .join('\n'),
    );
}

/** `--name=value`, `--name value`, and `--name` alone for true; sorted. */
export function flagsOf(argv: readonly string[]): Record<string, string> {
  const found: [string, string][] = [];
  for (const [index, word] of argv.entries()) {
    const match = /^--([^=]+)(?:=(.*))?$/s.exec(word);
    if (!match?.[1]) continue;
    const next = argv[index + 1];
    const follows = next !== undefined && !next.startsWith('-') ? next : 'true';
    found.push([match[1], match[2] ?? follows]);
  }
  return Object.fromEntries(found.toSorted(([a], [b]) => a.localeCompare(b)));
}

function answer(call: ApiCall, response: ServerResponse, kind: string, facts: object, text: () => string): void {
  const accept = call.request.headers.accept ?? '';
  const wanted = wantedVersion(accept, kind);
  if (wanted !== undefined)
    return sendJson(response, { kind, apiVersion: `${group}/${wanted}`, metadata: { name: 'kubelet' }, ...facts });
  if (accept.trim() !== '' && !/(text|\*)\/(plain|\*)/.test(accept)) {
    const structured = `application/json;as=${kind};v=${versions[0]};g=${group}`;
    throw new HttpError(406, `only the following media types are accepted: text/plain, ${structured}`);
  }
  sendText(response, `\nkubelet ${kind.toLowerCase()}\n${warning}\n\n${text()}\n`);
}

/** Clients that want an object say which: `application/json;as=Statusz;v=v1beta1;g=config.k8s.io`. */
function wantedVersion(accept: string, kind: string): string | undefined {
  for (const range of accept.split(',')) {
    const [type = '', ...parts] = range.split(';').map((part) => part.trim());
    const parameters = new Map(parts.map((part) => part.split('=') as [string, string | undefined]));
    const version = parameters.get('v');
    if (type !== 'application/json' || parameters.get('as') !== kind || parameters.get('g') !== group) continue;
    if (version !== undefined && versions.includes(version)) return version;
  }
  return undefined;
}

const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
