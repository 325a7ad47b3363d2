import { goBytes, goChecksum, goMap, goSlice, goString, goStruct, type GoText } from '../../base/go-dump.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * The kubelet's checksum of a device checkpoint: of what it reads of `Data`, whatever else stands there. Undefined when
 * something is of another type, which no kubelet writes.
 */
export function checkpointChecksum(data: Fields): number | undefined {
  try {
    return checksumOf(
      listOf(data['PodDeviceEntries'])?.map(entryText) ?? null,
      registeredText(data['RegisteredDevices']),
    );
  } catch (err) {
    if (err instanceof OtherType) return undefined;
    throw err;
  }
}

/** The same from its parts: an entry never changes, and is in every write until its pod goes. */
export function checksumOf(entries: readonly GoText[] | null, registered: GoText): number {
  return goChecksum(
    goStruct('checkpoint.checkpointData', {
      PodDeviceEntries: goSlice('[]checkpoint.PodDevicesEntry', entries),
      RegisteredDevices: registered,
    }),
  );
}

class OtherType extends Error {}

export const registeredText = (value: unknown): GoText =>
  goMap('map[string][]string', mapOf(value)?.map(idsOf) ?? null);

export function entryText(value: unknown): GoText {
  const fields = fieldsOf(value);
  const response = fields['AllocResp'];
  return goStruct('checkpoint.PodDevicesEntry', {
    PodUID: text(fields['PodUID']),
    ContainerName: text(fields['ContainerName']),
    ResourceName: text(fields['ResourceName']),
    DeviceIDs: deviceIds(fields['DeviceIDs']),
    AllocResp: goBytes(response === undefined || response === null ? null : Buffer.from(text(response).text, 'base64')),
  });
}

/** Before 1.20 the devices were a plain list, without NUMA nodes. */
function deviceIds(value: unknown): GoText {
  if (Array.isArray(value)) return strings(value);
  const nodes = mapOf(value)?.sort(([a], [b]) => Number(a) - Number(b));
  return goMap('checkpoint.DevicesPerNUMA', nodes?.map(([node, ids]) => [node, strings(ids)]) ?? null);
}

const idsOf = ([resource, ids]: [string, unknown]): [string, GoText] => [resource, strings(ids)];

const strings = (value: unknown): GoText => goSlice('[]string', listOf(value)?.map(text) ?? null);

function text(value: unknown): GoText {
  if (value === undefined || value === null) return goString('');
  if (typeof value !== 'string') throw new OtherType();
  return goString(value);
}

function listOf(value: unknown): unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw new OtherType();
  return value;
}

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new OtherType();
  return value as Fields;
}

/** Sorted as Go sorts strings. */
function mapOf(value: unknown): [string, unknown][] | undefined {
  if (value === undefined || value === null) return undefined;
  return Object.entries(fieldsOf(value)).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
