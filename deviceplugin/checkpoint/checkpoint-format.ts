import { crc32 } from 'node:zlib';
import { withoutNuma, type Grant } from '../devices/grants.js';
import type { GoText } from '../../base/go-dump.js';
import { checkpointChecksum, checksumOf, entryText, registeredText } from './checkpoint-checksum.js';
import type { ResponseCodec } from './response-codec.js';

/** A plugin that registered over the registration socket, to find it again after a restart of the agent. */
export interface RememberedPlugin {
  readonly socketPath: string;
  readonly preStartRequired: boolean;
}

export interface CheckpointData {
  readonly grants: readonly Grant[];
  /** Healthy device ids of every resource that was registered. */
  readonly registered: ReadonlyMap<string, readonly string[]>;
  readonly plugins: ReadonlyMap<string, RememberedPlugin>;
}

export interface ReadCheckpoint {
  readonly data: CheckpointData;
  /** Things a person should know: written by somebody else, entries that were left out. */
  readonly notes: readonly string[];
}

interface Written {
  readonly json: string;
  readonly dump: GoText;
}

/**
 * The kubelet's file, checksum included, with one addition beside it that a kubelet does not look at: `Berth` holds `Intents`
 * (devices chosen for a container whose plugin has not answered yet; in `PodDeviceEntries` a kubelet would take them for
 * granted) and `Plugins`, under a checksum of its own. What is the same as at the write before is not formed again: most of it is.
 */
export class CheckpointFormatter {
  readonly #codec: ResponseCodec;
  readonly #entries = new WeakMap<Grant, Written>();
  #registered: Written | undefined;

  constructor(codec: ResponseCodec) {
    this.#codec = codec;
  }

  format(data: CheckpointData): string {
    const entries = data.grants.flatMap((grant) => this.#entry(grant) ?? []);
    const registered = this.#registeredOf(data);
    const own = JSON.stringify({
      Intents: data.grants.filter((grant) => grant.response === undefined).map(entryOf),
      Plugins: Object.fromEntries(
        [...data.plugins].map(([resource, plugin]) => [
          resource,
          { SocketPath: plugin.socketPath, PreStartRequired: plugin.preStartRequired },
        ]),
      ),
    });
    const checksum = checksumOf(
      entries.map(({ dump }) => dump),
      registered.dump,
    );
    const body = `{"PodDeviceEntries":[${entries.map(({ json }) => json).join()}],"RegisteredDevices":${registered.json}}`;
    return `{"Data":${body},"Checksum":${checksum},"Berth":{"Data":${own},"Checksum":${crc32(own)}}}`;
  }

  #entry(grant: Grant): Written | undefined {
    if (grant.response === undefined) return undefined;
    const before = this.#entries.get(grant);
    if (before) return before;
    const fields = { ...entryOf(grant), AllocResp: this.#codec.encode(grant.response).toString('base64') };
    const written = { json: JSON.stringify(fields), dump: entryText(fields) };
    this.#entries.set(grant, written);
    return written;
  }

  #registeredOf({ registered }: CheckpointData): Written {
    const fields = Object.fromEntries(registered);
    const json = JSON.stringify(fields);
    if (this.#registered?.json !== json) this.#registered = { json, dump: registeredText(fields) };
    return this.#registered;
  }
}

export const formatCheckpoint = (data: CheckpointData, codec: ResponseCodec): string =>
  new CheckpointFormatter(codec).format(data);

const ownChecksum = (own: object): number => crc32(JSON.stringify(own));

function entryOf(grant: Grant): object {
  return {
    PodUID: grant.podUid,
    ContainerName: grant.container,
    ResourceName: grant.resource,
    DeviceIDs: Object.fromEntries(grant.byNuma),
  };
}

/** Throws with the reason when the text is no checkpoint; an entry that cannot be read is left out with a note. */
export function parseCheckpoint(text: string, codec: ResponseCodec): ReadCheckpoint {
  const outer = objectOf(JSON.parse(text), 'the file');
  const body = objectOf(outer['Data'], 'Data');
  if (outer['Checksum'] !== checkpointChecksum(body)) throw new Error('checksum mismatch');
  const own = ownPart(outer['Berth']);
  const notes = own === undefined ? ['written by a kubelet, plugins have to register again'] : [];

  const grants: Grant[] = [];
  const read = (list: unknown, what: string, responseOf: (entry: Fields) => Grant['response']): void => {
    for (const [at, value] of listOf(list, what).entries()) {
      try {
        const entry = objectOf(value, 'the entry');
        grants.push({ ...grantOf(entry), response: responseOf(entry) });
      } catch (err) {
        notes.push(`${what}[${at}] left out: ${err instanceof Error ? err.message : String(err)}`);
      }
    }
  };
  read(body['PodDeviceEntries'], 'PodDeviceEntries', (entry) => {
    const encoded = entry['AllocResp'] ?? '';
    if (typeof encoded !== 'string') throw new Error('AllocResp is no string');
    return codec.decode(Buffer.from(encoded, 'base64'));
  });
  read(own?.['Intents'], 'Intents', () => undefined);

  const registered = Object.entries(objectOf(body['RegisteredDevices'] ?? {}, 'RegisteredDevices')).map(
    ([resource, ids]) => [resource, stringsOf(ids, `RegisteredDevices.${resource}`)] as const,
  );
  return { data: { grants, registered: new Map(registered), plugins: pluginsOf(own?.['Plugins']) }, notes };
}

function ownPart(value: unknown): Fields | undefined {
  if (value === undefined) return undefined;
  const outer = objectOf(value, 'Berth');
  const own = objectOf(outer['Data'], 'Berth.Data');
  if (outer['Checksum'] !== ownChecksum(own)) throw new Error('checksum mismatch in Berth');
  return own;
}

function pluginsOf(value: unknown): Map<string, RememberedPlugin> {
  return new Map(
    Object.entries(objectOf(value ?? {}, 'Plugins')).map(([resource, plugin]) => {
      const fields = objectOf(plugin, `Plugins.${resource}`);
      return [
        resource,
        {
          socketPath: stringOf(fields['SocketPath'], `Plugins.${resource}.SocketPath`),
          preStartRequired: fields['PreStartRequired'] === true,
        },
      ];
    }),
  );
}

type Fields = Readonly<Record<string, unknown>>;

function grantOf(entry: Fields): Omit<Grant, 'response'> {
  return {
    podUid: stringOf(entry['PodUID'], 'PodUID'),
    container: stringOf(entry['ContainerName'], 'ContainerName'),
    resource: stringOf(entry['ResourceName'], 'ResourceName'),
    byNuma: devicesByNuma(entry['DeviceIDs']),
  };
}

/** Before 1.20 the devices were a plain list, without NUMA nodes. */
function devicesByNuma(value: unknown): ReadonlyMap<number, readonly string[]> {
  if (Array.isArray(value)) return new Map([[withoutNuma, stringsOf(value, 'DeviceIDs')]]);
  return new Map(
    Object.entries(objectOf(value ?? {}, 'DeviceIDs')).map(([node, ids]) => {
      const number = Number(node);
      if (!Number.isInteger(number)) throw new Error(`DeviceIDs: ${node} is no NUMA node`);
      return [number, stringsOf(ids, `DeviceIDs.${node}`)];
    }),
  );
}

function objectOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what} is no object`);
  return value as Fields;
}

/** An empty list of Go is `null` in JSON. */
function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new Error(`${what} is no list`);
  return value;
}

function stringsOf(value: unknown, what: string): readonly string[] {
  return listOf(value, what).map((item) => stringOf(item, what));
}

function stringOf(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${what} is missing`);
  return value;
}
