import type { PodResourcesMethod } from '../../deviceplugin/index.js';

/** Who counts what is done with devices and claims. Never waits and never throws. */
export interface DeviceCounts {
  /** All claims of a pod, prepared or given back. */
  claimsHandled(operation: 'PrepareResources' | 'UnprepareResources', seconds: number, failed: boolean): void;
  /** One request to the pod resources API. */
  podResourcesRequest(method: PodResourcesMethod, version: 'v1' | 'v1alpha1', failed: boolean): void;
  /** A number that is read when somebody asks for it. */
  gauge(name: string, help: string, read: () => readonly DeviceReading[]): void;
}

export interface DeviceReading {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
