/** What a driver may do, as it said at `init`; what it does not mention has the kubelet's default. */
export interface FlexVolumeCapabilities {
  readonly attach: boolean;
  readonly selinuxRelabel: boolean;
  readonly supportsMetrics: boolean;
  readonly fsGroup: boolean;
  readonly requiresFSResize: boolean;
}

export const defaultCapabilities: FlexVolumeCapabilities = {
  attach: true,
  selinuxRelabel: true,
  supportsMetrics: false,
  fsGroup: true,
  requiresFSResize: true,
};

export interface DriverAnswer {
  readonly status: 'success' | 'failure' | 'not-supported';
  readonly message: string;
  readonly device: string;
  readonly volumeName: string;
  readonly attached: boolean;
  readonly capabilities: FlexVolumeCapabilities;
  readonly volumeNewSize: number;
}

/**
 * Reads what a driver printed. As in the kubelet the whole output is one JSON object, keys match in any case, and a value
 * of the wrong type is an error. Returns the reason as a string when it is no answer.
 */
export function parseDriverAnswer(output: string): DriverAnswer | string {
  if (output.trim() === '') return 'it printed nothing';
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    return `it did not print JSON: ${excerpt(output)}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return `it did not print a JSON object: ${excerpt(output)}`;
  }
  const fields = lowerCaseKeys(value);
  try {
    return {
      status: statusOf(text(fields, 'status')),
      message: messageOf(text(fields, 'status'), text(fields, 'message')),
      device: text(fields, 'device'),
      volumeName: text(fields, 'volumename'),
      attached: flag(fields, 'attached', false),
      capabilities: capabilitiesOf(fields.get('capabilities')),
      volumeNewSize: wholeNumber(fields, 'volumenewsize'),
    };
  } catch (err) {
    return `its answer cannot be used: ${err instanceof Error ? err.message : String(err)}`;
  }
}

/** The end of a long output says more than its beginning. */
export function excerpt(output: string): string {
  const trimmed = output.trim();
  return trimmed.length <= 500 ? trimmed : `...${trimmed.slice(-500)}`;
}

function statusOf(status: string): DriverAnswer['status'] {
  if (status === 'Success') return 'success';
  return status === 'Not supported' ? 'not-supported' : 'failure';
}

/** Any other status is a failure, and then the word itself matters too. */
function messageOf(status: string, message: string): string {
  if (status === 'Success' || status === 'Failure' || status === 'Not supported') return message;
  return message === '' ? `status ${JSON.stringify(status)}` : `status ${JSON.stringify(status)}: ${message}`;
}

function lowerCaseKeys(value: object): Map<string, unknown> {
  return new Map(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field as unknown]));
}

function text(fields: ReadonlyMap<string, unknown>, key: string): string {
  const value = fields.get(key) ?? '';
  if (typeof value !== 'string') throw new Error(`${key} is not a string`);
  return value;
}

function flag(fields: ReadonlyMap<string, unknown>, key: string, otherwise: boolean): boolean {
  const value = fields.get(key) ?? otherwise;
  if (typeof value !== 'boolean') throw new Error(`${key} is not a boolean`);
  return value;
}

function wholeNumber(fields: ReadonlyMap<string, unknown>, key: string): number {
  const value = fields.get(key) ?? 0;
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new Error(`${key} is not a whole number`);
  return value;
}

function capabilitiesOf(value: unknown): FlexVolumeCapabilities {
  if (value === undefined || value === null) return defaultCapabilities;
  if (typeof value !== 'object') throw new Error('capabilities is not an object');
  const fields = lowerCaseKeys(value);
  return {
    attach: flag(fields, 'attach', defaultCapabilities.attach),
    selinuxRelabel: flag(fields, 'selinuxrelabel', defaultCapabilities.selinuxRelabel),
    supportsMetrics: flag(fields, 'supportsmetrics', defaultCapabilities.supportsMetrics),
    fsGroup: flag(fields, 'fsgroup', defaultCapabilities.fsGroup),
    requiresFSResize: flag(fields, 'requiresfsresize', defaultCapabilities.requiresFSResize),
  };
}
