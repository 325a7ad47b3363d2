import type { Event } from '../../api/index.js';
import { ageSince } from './age.js';
import type { Table } from './resource-tables.js';

export const eventHeader = ['LAST SEEN', 'TYPE', 'REASON', 'OBJECT', 'MESSAGE'] as const;

export function eventTable(events: readonly Event[], allNamespaces: boolean, now: number): Table {
  return {
    namespaced: true,
    header: [...(allNamespaces ? ['NAMESPACE'] : []), ...eventHeader],
    names: events.map(({ metadata }) => metadata.name ?? ''),
    rows: events.map((event) => [
      ...(allNamespaces ? [event.involvedObject.namespace ?? 'default'] : []),
      ...eventCells(event, now),
    ]),
  };
}

export function eventCells(event: Event, now: number): string[] {
  const { lastTimestamp, firstTimestamp, type = '', reason = '', involvedObject, message = '', count = 1 } = event;
  // Which container it is about, as `kubectl describe` shows it.
  const { fieldPath } = involvedObject;
  const last = ageSince(lastTimestamp, now);
  const seen = count > 1 ? `${last} (x${count} over ${ageSince(firstTimestamp, now)})` : last;
  return [
    seen,
    type,
    reason,
    `${involvedObject.kind?.toLowerCase()}/${involvedObject.name}`,
    `${fieldPath ? `${fieldPath}: ` : ''}${message.trim().replaceAll('\n', ' ')}`,
  ];
}
