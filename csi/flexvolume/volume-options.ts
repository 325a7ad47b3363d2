/** What a driver is told about a volume, before it becomes the JSON of the protocol. */
export interface FlexVolumeOptions {
  /** The name of the PV, or of the volume in the pod. */
  readonly volumeName: string;
  readonly fsType?: string | undefined;
  readonly readOnly: boolean;
  /** `options` of the volume; they win over all keys of ours, as they do in the kubelet. */
  readonly options?: Readonly<Record<string, string>> | undefined;
}

/** What only `mount` is told. */
export interface FlexVolumeMountOptions extends FlexVolumeOptions {
  readonly pod: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly serviceAccountName: string;
  };
  readonly fsGroup?: number | undefined;
  /** Plain values. The Secret must be of the type `<driver name>`; whoever reads it checks that. */
  readonly secrets?: Readonly<Record<string, string | Uint8Array>> | undefined;
}

export function isFlexVolumeSecret(secretType: string | undefined, driver: string): boolean {
  return secretType === driver;
}

/** The JSON as the kubelet writes it: one line, keys in order. */
export function optionsJson(volume: FlexVolumeOptions | FlexVolumeMountOptions): string {
  const values: Record<string, string> = {
    'kubernetes.io/fsType': volume.fsType ?? '',
    'kubernetes.io/readwrite': volume.readOnly ? 'ro' : 'rw',
    'kubernetes.io/pvOrVolumeName': volume.volumeName,
    ...('pod' in volume ? mountValues(volume) : {}),
    ...volume.options,
  };
  return JSON.stringify(Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function mountValues(volume: FlexVolumeMountOptions): Record<string, string> {
  const values: Record<string, string> = {
    'kubernetes.io/pod.name': volume.pod.name,
    'kubernetes.io/pod.namespace': volume.pod.namespace,
    'kubernetes.io/pod.uid': volume.pod.uid,
    'kubernetes.io/serviceAccount.name': volume.pod.serviceAccountName,
  };
  for (const [key, value] of Object.entries(volume.secrets ?? {})) {
    values[`kubernetes.io/secret/${key}`] = Buffer.from(value).toString('base64');
  }
  if (volume.fsGroup !== undefined) values['kubernetes.io/mounterArgs.FsGroup'] = String(volume.fsGroup);
  return values;
}
