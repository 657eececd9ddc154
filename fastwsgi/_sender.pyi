from typing import final

@final
class Sender: ...
