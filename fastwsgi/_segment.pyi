from typing import final

@final
class Segment: ...
