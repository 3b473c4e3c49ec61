/** The conversation without its thread: a channel's messages have ids like "19:x@thread.tacv2;messageid=1700". */
export function baseOf(conversation: string): string {
  return conversation.split(';messageid=')[0] ?? conversation;
}
